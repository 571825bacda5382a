/** Values of fields as people type and read them. */

import type { Json } from "@syncline/sdk";
import { canonicalCreate, canonicalUpdate } from "@syncline/sdk/merge";
import { entityOf, fieldOf, labelOf } from "../../data/schema.ts";
import { sentence } from "../../format/text.ts";
import { amount, calendarDay, dateTime } from "../../format/value.ts";

/** What stands in the input of a field for a value. */
export function inputText(entity: string, name: string, value: Json | undefined): string {
  if (value === undefined || value === null) {
    return "";
  }
  switch (fieldOf(entity, name).kind.type) {
    case "timestamp":
      return localMinute(new Date(String(value)));
    case "set":
      return Array.isArray(value) ? value.join(", ") : "";
    case "json":
      return typeof value === "string" ? value : JSON.stringify(value);
    default:
      return String(value);
  }
}

/** The value of what was typed; `null`: nothing. It may still be one that the schema refuses. */
export function typedValue(entity: string, name: string, text: string): Json {
  const typed = text.trim();
  const { kind } = fieldOf(entity, name);
  if (kind.type === "set") {
    return typed
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== "");
  }
  if (typed === "") {
    return null;
  }
  switch (kind.type) {
    case "integer":
      return /^-?\d+$/.test(typed) ? Number(typed) : typed;
    case "counter":
      return Number(typed);
    case "decimal":
      return typed.replace(",", ".");
    case "boolean":
      return typed === "true";
    case "timestamp":
      return Number.isNaN(Date.parse(typed)) ? typed : new Date(typed).toISOString();
    case "text":
      return kind.maxLength > 1_000 ? text : typed;
    default:
      return typed;
  }
}

/** What is wrong with a value, for a person; `undefined`: nothing. Required fields may not be cleared. */
export function valueError(entity: string, name: string, value: Json): string | undefined {
  const checked = canonicalUpdate(entityOf(entity), { [name]: value });
  return checked.ok ? undefined : complaint(checked.error.field, checked.error.message);
}

/** What is wrong with values, by field. The first mistake of each. */
export function valueErrors(entity: string, values: Readonly<Record<string, Json>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => {
      const error = valueError(entity, name, value);
      return error === undefined ? [] : [[name, error]];
    }),
  );
}

/** What is wrong with the values of a new record, by field; one that is `null` is not given. */
export function createErrors(entity: string, values: Readonly<Record<string, Json>>): Readonly<Record<string, string>> {
  const given = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null));
  const errors = valueErrors(entity, given);
  if (Object.keys(errors).length === 0) {
    const whole = canonicalCreate(entityOf(entity), values);
    if (!whole.ok) {
      errors[whole.error.field] = complaint(whole.error.field, whole.error.message);
    }
  }
  return errors;
}

/** The schema says "must be …" or "expected …"; a form says of what. */
export function complaint(field: string, message: string): string {
  const colon = message.startsWith("expected") ? ":" : "";
  return `${labelOf(field)}${colon} ${message}.`.replace(/\.\.$/, ".");
}

/** A value as it is read. References are named by `titleOf`; `currency`: of the record. */
export function shownValue(
  entity: string,
  name: string,
  value: Json | undefined,
  about: {
    readonly titleOf?: (entity: string, id: string) => string | undefined;
    readonly currency?: string | undefined;
  } = {},
): string {
  if (value === undefined || value === null || value === "") {
    return "";
  }
  const field = entityOf(entity).fields.get(name);
  if (field?.references !== undefined) {
    return about.titleOf?.(field.references, String(value)) ?? "Not on this device";
  }
  switch (field?.kind.type) {
    case "choice":
      return sentence(String(value));
    case "decimal":
      return amount(String(value), isMoney(name) ? about.currency : undefined);
    case "date":
      return calendarDay(String(value));
    case "timestamp":
      return dateTime(String(value));
    case "boolean":
      return value === true ? "Yes" : "No";
    case "set":
      return Array.isArray(value) ? value.join(", ") : "";
    case "json":
      return plainJson(value);
    case "uuid":
      return "Linked";
    default:
      return String(value);
  }
}

const MONEY = new Set(["estimated_value", "amount", "annual_revenue", "unit_price"]);

export function isMoney(name: string): boolean {
  return MONEY.has(name);
}

/** What a program said, for a person. */
export function inWords(value: unknown): string {
  return value === null || value === undefined ? "" : plainJson(value as Json);
}

/** JSON read aloud: "City: Oslo, Country: Norway". */
function plainJson(value: Json): string {
  if (Array.isArray(value)) {
    return value.map((item) => plainJson(item as Json)).join(", ");
  }
  if (typeof value === "object" && value !== null) {
    return Object.entries(value)
      .map(([key, item]) => `${sentence(key)}: ${plainJson(item as Json)}`)
      .join(", ");
  }
  return value === true ? "yes" : value === false ? "no" : String(value);
}

/** A moment as a `datetime-local` input takes it: local time to the minute. */
function localMinute(date: Date): string {
  const two = (part: number): string => String(part).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day}T${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** What a refused change says at a field of the form, and what for the whole of it. */
export function placedError({ field, message }: { readonly field?: string; readonly message: string }): {
  readonly atFields: Readonly<Record<string, string>>;
  readonly ofForm: string | undefined;
} {
  return field === undefined
    ? { atFields: {}, ofForm: message }
    : { atFields: { [field]: message }, ofForm: undefined };
}
