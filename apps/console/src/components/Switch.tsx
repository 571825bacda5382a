import { number } from "../format/text.ts";
import { cx } from "./cx.ts";

interface SwitchProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly { readonly value: string; readonly label: string; readonly count?: number }[];
  readonly onChange: (value: string) => void;
}

/** One of a few views, all of them seen. */
export function Switch({ label, value, options, onChange }: SwitchProps) {
  return (
    <div
      role="group"
      aria-label={label}
      className="inline-flex max-w-full overflow-x-auto rounded-lg border bg-surface p-0.5"
    >
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
          className={cx(
            "flex items-center gap-1.5 whitespace-nowrap rounded-md px-3 py-1 font-medium",
            option.value === value ? "bg-accent-soft text-accent" : "text-ink-2 hover:text-ink",
          )}
        >
          {option.label}
          {option.count !== undefined && <span className="num text-xs opacity-70">{number(option.count)}</span>}
        </button>
      ))}
    </div>
  );
}
