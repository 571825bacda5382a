import { initials } from "../format/text.ts";
import { cx } from "./cx.ts";

const TINTS = [
  "bg-accent-soft text-accent",
  "bg-info-soft text-info",
  "bg-warn-soft text-warn",
  "bg-good-soft text-good",
  "bg-bad-soft text-bad",
  "bg-sunken text-ink-2 dark:bg-line",
] as const;

/** Initials in a circle; the name stands beside it or is given to screen readers elsewhere. */
export function Avatar({ name, isLarge = false }: { name: string; isLarge?: boolean }) {
  const tint = TINTS[[...name].reduce((sum, letter) => sum + (letter.codePointAt(0) ?? 0), 0) % TINTS.length];
  return (
    <span
      aria-hidden="true"
      className={cx(
        "inline-flex shrink-0 items-center justify-center rounded-full font-semibold",
        isLarge ? "size-11 text-lg" : "size-6 text-[0.625rem]",
        tint,
      )}
    >
      {initials(name) || "?"}
    </span>
  );
}

/** A person: initials and name. */
export function PersonName({ name }: { name: string | undefined }) {
  return name === undefined ? (
    <span className="text-ink-3">Nobody</span>
  ) : (
    <span className="flex min-w-0 items-center gap-2">
      <Avatar name={name} />
      <span className="truncate">{name}</span>
    </span>
  );
}
