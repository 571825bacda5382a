/** Dates and money as the person's own language writes them. */

const money = new Map<string, Intl.NumberFormat>();

/** An amount with its currency: "€4,000", with cents only where there are any. Exact up to 15 digits. */
export function amount(value: string | undefined, currency: string | undefined): string {
  if (value === undefined) {
    return "";
  }
  const isWhole = /^-?\d+(\.0+)?$/.test(value);
  const key = `${currency ?? ""} ${isWhole}`;
  let format = money.get(key);
  if (format === undefined) {
    format = new Intl.NumberFormat(undefined, {
      ...(currency !== undefined && { style: "currency", currency, currencyDisplay: "symbol" }),
      ...(isWhole && { maximumFractionDigits: 0, minimumFractionDigits: 0 }),
    });
    money.set(key, format);
  }
  return format.format(Number(value));
}

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const dayOfYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

/** A calendar day, `2026-11-21`: the same day wherever it is read. */
export function calendarDay(text: string | undefined): string {
  return text === undefined ? "" : day.format(new Date(`${text}T00:00:00`));
}

/** A moment with its time, in the person's time zone. */
export function dateTime(at: string | number | undefined): string {
  return at === undefined ? "" : moment.format(new Date(at));
}

/** The day of a moment; without its year when that is this one. */
export function shortDay(at: string | number, nowMs: number): string {
  const date = new Date(at);
  return (date.getFullYear() === new Date(nowMs).getFullYear() ? dayOfYear : day).format(date);
}

export function clockTime(at: string | number): string {
  return clock.format(new Date(at));
}

const STEPS = [
  ["minute", 60_000, 60],
  ["hour", 3_600_000, 24],
  ["day", 86_400_000, 7],
] as const;

/** "2 minutes ago", "tomorrow"; beyond a week the day itself. */
export function ago(at: string | number | undefined, nowMs: number): string {
  if (at === undefined) {
    return "";
  }
  const atMs = new Date(at).getTime();
  const distanceMs = atMs - nowMs;
  if (Math.abs(distanceMs) < 45_000) {
    return "just now";
  }
  for (const [unit, ms, max] of STEPS) {
    const count = Math.round(distanceMs / ms);
    if (Math.abs(count) < max) {
      return relative.format(count, unit);
    }
  }
  return shortDay(atMs, nowMs);
}

/** How long something has lasted, coarsely: "3 hours". */
export function duration(ms: number): string {
  const [unit, count] =
    ms < 3_600_000
      ? ["minute", Math.max(Math.floor(ms / 60_000), 0)]
      : ms < 86_400_000 * 2
        ? ["hour", Math.floor(ms / 3_600_000)]
        : ["day", Math.floor(ms / 86_400_000)];
  return count === 0
    ? "Just started"
    : new Intl.NumberFormat(undefined, { style: "unit", unit, unitDisplay: "long" }).format(count);
}

/** When a record was created: its id begins with the milliseconds (UUIDv7). */
export function createdMs(id: string): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}
