/** Brings values to their canonical form or says what was expected instead (spec §2, `vectors/values.json`). */

import { type Fields, isArray, isObject, type Json, jsonEquals, member, objectOf, unreachable } from "../json.ts";
import { err, ok, type Result } from "../result.ts";
import { Unfit } from "./expect.ts";
import { canonicalJson, flags, requireObject, setOf, setPatch, uuid, withoutNullMembers } from "./json.ts";
import { decimal, integer, wholeNumber } from "./number.ts";
import { type Entity, EXACT_MAX, type Field, type FieldKind } from "./schema.ts";
import { canonicalText } from "./text.ts";
import { date, timestamp } from "./time.ts";

/** A value, or the lack of one, that the schema refuses. */
export interface Invalid {
  readonly field: string;
  /** What was expected, for a person. */
  readonly message: string;
}

/**
 * The fields of a new record: canonical, without nulls, with defaults filled in. Refuses unknown fields, values that do
 * not fit, and missing required fields.
 */
export function canonicalCreate(entity: Entity, fields: Fields): Result<Fields, Invalid> {
  return checked(() => {
    const present = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
    const canonical = present.map(([name, value]): [string, Json] => [
      name,
      inField(name, () => canonicalNew(known(entity, name), value)),
    ]);
    const whole = objectOf([...defaultsFor(entity, fields), ...canonical]);
    for (const field of entity.fields.values()) {
      if (field.isRequired && member(whole, field.name) === null) {
        throw new Unfit("is required", field.name);
      }
    }
    return whole;
  });
}

/**
 * The fields of an update in canonical form. `null` clears and is refused for required fields. Sets become `{"add": [..],
 * "remove": [..]}` with both members, or stay an array; counters stay `{"inc": n}` or a number; fields merged by key keep
 * an object whose `null` members remove their key (spec VAL-2).
 */
export function canonicalUpdate(entity: Entity, fields: Fields): Result<Fields, Invalid> {
  return checked(() => {
    const present = Object.entries(fields).filter(([, value]) => value !== undefined);
    return objectOf(
      present.map(([name, value]): [string, Json] => {
        const field = known(entity, name);
        if (value === null && field.isRequired) {
          throw new Unfit("is required and cannot be cleared", name);
        }
        return [name, value === null ? null : inField(name, () => canonicalPatch(field, value))];
      }),
    );
  });
}

/** Defaults for the fields that `fields` leaves without a value. */
export function defaultsFor(entity: Entity, fields: Fields): [string, Json][] {
  const missing = [...entity.fields.values()].filter((field) => member(fields, field.name) === null);
  return missing.flatMap((field): [string, Json][] =>
    field.default === undefined ? [] : [[field.name, field.default]],
  );
}

/** The canonical form of a plain value (of a set: the array; of a counter: the number). Throws {@link Unfit}. */
export function canonicalValue(kind: FieldKind, value: Json): Json {
  switch (kind.type) {
    case "text":
      return canonicalText(kind, value);
    case "choice":
      if (typeof value !== "string" || !kind.choices.includes(value)) {
        throw new Unfit(`expected one of ${kind.choices.join(", ")}`);
      }
      return value;
    case "integer":
      return integer(value, kind.min, kind.max);
    case "decimal":
      return decimal(value, kind);
    case "boolean":
      if (typeof value !== "boolean") {
        throw new Unfit("expected true or false");
      }
      return value;
    case "date":
      return date(value);
    case "timestamp":
      return timestamp(value);
    case "uuid":
      return uuid(value);
    case "json":
      return canonicalJson(value, kind.maxBytes);
    case "set":
      return setOf(value, kind);
    case "counter":
      return integer(value, -EXACT_MAX, EXACT_MAX);
    default:
      return unreachable(kind);
  }
}

function canonicalNew(field: Field, value: Json): Json {
  switch (field.group.strategy.name) {
    case "merge-keys":
      return canonicalValue(field.kind, withoutNullMembers(value));
    case "most-restrictive-wins":
      return canonicalValue(field.kind, flags(withoutNullMembers(value)));
    default:
      return canonicalValue(field.kind, value);
  }
}

function canonicalPatch(field: Field, value: Json): Json {
  if (field.kind.type === "set") {
    return setPatch(value, field.kind);
  }
  if (field.kind.type === "counter") {
    return counterPatch(value);
  }
  switch (field.group.strategy.name) {
    case "merge-keys":
      return canonicalValue(field.kind, requireObject(value));
    case "most-restrictive-wins":
      return canonicalValue(field.kind, flags(requireObject(value)));
    default:
      return canonicalValue(field.kind, value);
  }
}

/** `{"inc": n}` or a number. */
function counterPatch(value: Json): Json {
  const step =
    isObject(value) && jsonEquals(Object.keys(value), ["inc"]) ? wholeNumber(member(value, "inc")) : undefined;
  if (step !== undefined) {
    return { inc: step };
  }
  const whole = isObject(value) || isArray(value) ? undefined : wholeNumber(value);
  if (whole === undefined) {
    throw new Unfit('expected {"inc": whole number} or a whole number');
  }
  return whole;
}

function known(entity: Entity, name: string): Field {
  const field = entity.fields.get(name);
  if (field === undefined) {
    throw new Unfit(`unknown field of ${entity.name}`, name);
  }
  return field;
}

function inField(name: string, run: () => Json): Json {
  try {
    return run();
  } catch (error) {
    throw error instanceof Unfit ? new Unfit(error.message, name) : error;
  }
}

function checked(run: () => Fields): Result<Fields, Invalid> {
  try {
    return ok(run());
  } catch (error) {
    if (error instanceof Unfit) {
      return err({ field: error.field, message: error.message });
    }
    throw error;
  }
}
