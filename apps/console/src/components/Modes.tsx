import { AppWindow, Laptop, type LucideIcon, Puzzle, Smartphone } from "lucide-react";

/** What a deployment mode is called, and its sign. */
export const MODES: Readonly<Record<string, readonly [label: string, Icon: LucideIcon]>> = {
  web_app: ["Web app", AppWindow],
  browser_extension: ["Browser extension", Puzzle],
  local_install: ["Local installation", Laptop],
  mobile_app: ["Phone", Smartphone],
};

/** Where a device runs, by its deployment mode. */
export function ModeName({ mode }: { mode: string }) {
  const [label, Icon] = MODES[mode] ?? ["Other", AppWindow];
  return (
    <span className="inline-flex items-center gap-1.5">
      <Icon aria-hidden="true" className="size-4 text-ink-3" />
      {label}
    </span>
  );
}
