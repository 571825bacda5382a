import { Tabs } from "@base-ui/react/tabs";
import type { ReactNode } from "react";

export interface TabView {
  readonly key: string;
  readonly label: string;
  readonly count?: number;
  readonly content: ReactNode;
}

/** Views of one thing, side by side; arrow keys go between them. Only the one that is shown is there. */
export function TabBar({
  label,
  tabs,
  value,
  onChange,
}: {
  label: string;
  tabs: readonly TabView[];
  value: string;
  onChange: (key: string) => void;
}) {
  return (
    <Tabs.Root
      value={value}
      onValueChange={(key) => onChange(String(key))}
      className="rounded-xl border bg-surface shadow-card"
    >
      <Tabs.List aria-label={label} className="flex gap-1 overflow-x-auto border-b px-2">
        {tabs.map(({ key, label: text, count }) => (
          <Tabs.Tab
            key={key}
            value={key}
            className="-mb-px flex min-h-11 items-center gap-1.5 border-b-2 border-transparent px-3 font-medium whitespace-nowrap text-ink-2 hover:text-ink aria-selected:border-accent aria-selected:text-accent"
          >
            {text}
            {count !== undefined && count > 0 && <span className="num text-xs text-ink-3">{count}</span>}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      {tabs.map(({ key, content }) => (
        <Tabs.Panel key={key} value={key} className="outline-none">
          {content}
        </Tabs.Panel>
      ))}
    </Tabs.Root>
  );
}
