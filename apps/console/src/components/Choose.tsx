import { cx } from "./cx.ts";

export interface Option {
  readonly value: string;
  readonly label: string;
}

interface ChooseProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly Option[];
  readonly onChange: (value: string) => void;
  /** What no choice is called; absent: there must be one. */
  readonly none?: string;
  readonly isFilter?: boolean;
  /** Its width, when it is not as wide as its words. */
  readonly className?: string;
}

/** One of a few. The platform's own control: it works with every keyboard, reader and phone. */
export function Choose({ label, value, options, onChange, none, isFilter = false, className }: ChooseProps) {
  return (
    <select
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value)}
      className={cx(
        "control shrink-0",
        isFilter && value !== "" && "border-accent bg-accent-soft text-accent",
        className ?? "w-auto max-w-52",
      )}
    >
      {none !== undefined && <option value="">{none}</option>}
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </select>
  );
}
