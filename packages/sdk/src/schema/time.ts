/** Dates and moments. */

import type { Json } from "../json.ts";
import { Unfit } from "./expect.ts";

const MOMENT =
  /^(\d{4}-\d{2}-\d{2})[Tt]([01]\d|2[0-3]):([0-5]\d):([0-5]\d|60)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))$/;
const CANONICAL = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:[0-5]\d\.\d{3}Z$/;
const MINUTE_MS = 60_000;

/** `YYYY-MM-DD`, years 0001 to 9999. */
export function date(value: Json): string {
  if (typeof value !== "string" || !isDate(value)) {
    throw new Unfit("expected a date YYYY-MM-DD");
  }
  return value;
}

/**
 * RFC 3339 with any offset, brought to UTC with milliseconds; finer fractions are cut off. A leap second (`23:59:60` in
 * UTC) becomes the last millisecond of its minute.
 */
export function timestamp(value: Json): string {
  const canonical = typeof value === "string" ? utcText(value) : undefined;
  if (canonical === undefined) {
    throw new Unfit("expected a time like 2026-11-21T09:30:00.000Z or 2026-11-21T10:30:00+01:00");
  }
  return canonical;
}

/** The name of an IANA time zone in the case of the database, as far as this platform knows it. */
export function zoneName(name: string): string | undefined {
  // Platforms also take offsets, which are no names.
  if (!/^[A-Za-z]/.test(name)) {
    return undefined;
  }
  try {
    const { timeZone } = new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions();
    // Platforms replace some names by older ones of the same zone: only the case is taken from them.
    return timeZone.toLowerCase() === name.toLowerCase() ? timeZone : name;
  } catch {
    return undefined;
  }
}

function isDate(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text) || text.startsWith("0000")) {
    return false;
  }
  const moment = new Date(`${text}T00:00:00Z`);
  // A day that does not exist is moved to the next month.
  return !Number.isNaN(moment.getTime()) && moment.toISOString().slice(0, 10) === text;
}

function utcText(text: string): string | undefined {
  const parts = MOMENT.exec(text);
  const day = parts?.[1];
  if (parts === null || day === undefined || !isDate(day)) {
    return undefined;
  }
  if (CANONICAL.test(text)) {
    return text;
  }
  const [, , hour = "", minute = "", second = "", fraction = "", sign, offsetHours, offsetMinutes] = parts;
  const isLeap = second === "60";
  const clock = isLeap
    ? `${hour}:${minute}:59.999`
    : `${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, "0")}`;
  const offsetMs = (Number(offsetHours ?? 0) * 60 + Number(offsetMinutes ?? 0)) * MINUTE_MS;
  const utc = new Date(Date.parse(`${day}T${clock}Z`) - (sign === "-" ? -offsetMs : offsetMs));
  const canonical = utc.toISOString();
  const isPossible = !isLeap || canonical.slice(11, 16) === "23:59";
  return CANONICAL.test(canonical) && !canonical.startsWith("0000") && isPossible ? canonical : undefined;
}
