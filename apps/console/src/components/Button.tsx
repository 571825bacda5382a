import type { ButtonHTMLAttributes, ReactNode, Ref } from "react";
import { cx } from "./cx.ts";

export type ButtonTone = "primary" | "plain" | "quiet" | "danger";

const TONES: Readonly<Record<ButtonTone, string>> = {
  primary: "bg-accent text-on-accent hover:bg-accent-strong border-transparent",
  plain: "bg-surface text-ink border-line-strong hover:bg-hover",
  quiet: "bg-transparent text-ink-2 border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-surface text-bad border-line-strong hover:bg-bad-soft",
};

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly tone?: ButtonTone;
  readonly icon?: ReactNode;
  readonly ref?: Ref<HTMLButtonElement>;
}

export function buttonClass(tone: ButtonTone = "plain", hasText = true): string {
  return cx(
    "inline-flex shrink-0 items-center justify-center gap-1.5 whitespace-nowrap rounded-lg border font-medium transition-colors",
    "min-h-8.5 disabled:pointer-events-none disabled:opacity-50",
    hasText ? "px-3 py-1" : "w-8.5",
    TONES[tone],
  );
}

/** A button; one with an icon and no children needs an `aria-label`. */
export function Button({ tone = "plain", icon, children, className, type = "button", ...rest }: ButtonProps) {
  return (
    <button {...rest} type={type} className={cx(buttonClass(tone, children !== undefined), className)}>
      {icon}
      {children}
    </button>
  );
}
