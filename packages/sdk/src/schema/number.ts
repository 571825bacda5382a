/** Whole numbers and exact decimals, without floating-point arithmetic. */

import type { Json } from "../json.ts";
import { Unfit } from "./expect.ts";
import { EXACT_MAX } from "./schema.ts";

/** Below this the shortest decimal text of a number has an exponent. */
const PLAIN_MIN = 1e-6;

interface DecimalKind {
  readonly precision: number;
  readonly scale: number;
  readonly min?: string;
  readonly max?: string;
}

/** A whole number in `min..=max`. */
export function integer(value: Json, min: number, max: number): number {
  const whole = wholeNumber(value);
  if (whole === undefined || whole < min || whole > max) {
    throw new Unfit(`expected a whole number from ${min} to ${max}`);
  }
  return whole;
}

/** The number, if it is whole and within ±(2^53 − 1). */
export function wholeNumber(value: Json): number | undefined {
  // Adding 0 turns -0 into 0.
  return typeof value === "number" && Number.isSafeInteger(value) ? value + 0 : undefined;
}

/**
 * The canonical text of a decimal with `scale` fraction digits. Text must be `-?digits[.digits]`. A number counts as its
 * shortest decimal text; below 0.000001 or beyond ±(2^53 − 1) it is refused: send those as text.
 */
export function decimal(value: Json, kind: DecimalKind): string {
  const text = typeof value === "string" ? value : plainText(value);
  const canonical = text === undefined ? undefined : canonicalDecimal(text, kind.precision, kind.scale);
  if (canonical === undefined) {
    const whole = kind.precision - kind.scale;
    throw new Unfit(
      `expected a decimal like "12.5" with at most ${whole} digits before and ${kind.scale} after the point`,
    );
  }
  const bound = (text: string | undefined): string | undefined =>
    text === undefined ? undefined : canonicalDecimal(text, kind.precision, kind.scale);
  const [min, max] = [bound(kind.min), bound(kind.max)];
  if (min !== undefined && compareDecimals(canonical, min) < 0) {
    throw new Unfit(`expected at least ${min}`);
  }
  if (max !== undefined && compareDecimals(canonical, max) > 0) {
    throw new Unfit(`expected at most ${max}`);
  }
  return canonical;
}

/** Orders two canonical decimals of the same scale: by sign, then by length, then by digits. */
export function compareDecimals(a: string, b: string): number {
  const [aDigits, bDigits] = [a.replace("-", ""), b.replace("-", "")];
  const magnitude = aDigits.length - bDigits.length || (aDigits < bDigits ? -1 : aDigits > bDigits ? 1 : 0);
  const [isNegative, isOtherNegative] = [a.startsWith("-"), b.startsWith("-")];
  if (isNegative !== isOtherNegative) {
    return isNegative ? -1 : 1;
  }
  return isNegative ? -magnitude : magnitude;
}

function plainText(value: Json): string | undefined {
  if (typeof value !== "number") {
    return undefined;
  }
  const size = Math.abs(value);
  return value === 0 || (size >= PLAIN_MIN && size <= EXACT_MAX) ? String(value + 0) : undefined;
}

function canonicalDecimal(text: string, precision: number, scale: number): string | undefined {
  const parts = /^(-?)([0-9]+)(?:\.([0-9]+))?$/.exec(text);
  if (parts === null) {
    return undefined;
  }
  const whole = (parts[2] ?? "").replace(/^0+/, "");
  const fraction = parts[3] ?? "";
  if (fraction.length > scale || whole.length > precision - scale) {
    return undefined;
  }
  const isZero = whole === "" && /^0*$/.test(fraction);
  const sign = parts[1] === "-" && !isZero ? "-" : "";
  return `${sign}${whole === "" ? "0" : whole}${scale > 0 ? "." : ""}${fraction.padEnd(scale, "0")}`;
}
