/** JSON values as the protocol carries them, and what JavaScript gets wrong about them by default. */

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;

export interface JsonObject {
  readonly [name: string]: Json;
}

/** Field values of one record by field name. `null` and an absent member mean the same (spec VAL-1). */
export type Fields = JsonObject;

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value);
}

/** A member's value, `null` when it is absent. Inherited names such as `constructor` are not members. */
export function member(object: JsonObject, name: string): Json {
  return Object.hasOwn(object, name) ? (object[name] ?? null) : null;
}

/** An object of these members. Safe for names such as `__proto__`, which an assignment would not store. */
export function objectOf(members: Iterable<readonly [string, Json]>): JsonObject {
  return Object.fromEntries(members);
}

/** Whether two values are the same JSON: the order of members does not count, that of items does. */
export function jsonEquals(a: Json, b: Json): boolean {
  if (a === b) {
    return true;
  }
  if (isArray(a)) {
    return isArray(b) && a.length === b.length && a.every((item, index) => jsonEquals(item, b[index] ?? null));
  }
  if (!isObject(a) || !isObject(b)) {
    return false;
  }
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && jsonEquals(member(a, name), member(b, name)))
  );
}

/** Whether a member is this value or, where it is a list and the value is none, contains it. */
export function holds(object: JsonObject, name: string, wanted: Json): boolean {
  const held = member(object, name);
  return isArray(held) && !isArray(wanted) ? held.includes(wanted) : jsonEquals(held, wanted);
}

/**
 * Orders texts by code point, as UTF-8 bytes order them. JavaScript's `<` orders by UTF-16 unit, which differs where a
 * character outside the basic plane meets one of U+E000 to U+FFFF.
 */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const [left, right] = [a.charCodeAt(index), b.charCodeAt(index)];
    if (left !== right) {
      return rankOfUnit(left) - rankOfUnit(right);
    }
  }
  return a.length - b.length;
}

/** Surrogates stand for characters beyond U+FFFF: they come after every other unit. */
function rankOfUnit(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** Bytes of the value when encoded without spaces. */
export function encodedBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

/** For the branch no value can reach: a case that was added and not handled does not compile. */
export function unreachable(value: never): never {
  throw new Error(`a case is not handled: ${JSON.stringify(value)}`);
}
