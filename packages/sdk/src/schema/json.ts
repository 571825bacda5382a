/** JSON, sets and UUIDs. */

import { compareText, encodedBytes, isArray, isObject, type Json, type JsonObject, member, objectOf } from "../json.ts";
import { Unfit } from "./expect.ts";
import { EXACT_MAX, type SetItem } from "./schema.ts";
import { isBlank, trimmed } from "./space.ts";
import { wellFormed } from "./text.ts";

/** Nesting of arrays and objects; a plain value has none. */
const DEPTH_MAX = 16;

/** What a set may hold. */
export interface ItemRule {
  readonly items: SetItem;
  readonly maxItems: number;
  readonly maxLength: number;
}

/** JSON of at most `maxBytes` when encoded and 16 levels, with numbers that every language keeps exact. */
export function canonicalJson(value: Json, maxBytes: number): Json {
  const canonical = cleaned(value, 0);
  if (encodedBytes(canonical) > maxBytes) {
    throw new Unfit(`expected JSON of at most ${maxBytes} bytes`);
  }
  return canonical;
}

function cleaned(value: Json, depth: number): Json {
  if (value === null || typeof value === "boolean") {
    return value;
  }
  if (typeof value === "string") {
    return wellFormed(value);
  }
  if (typeof value === "number") {
    if (!(Math.abs(value) <= EXACT_MAX)) {
      throw new Unfit("numbers beyond ±(2^53 − 1) are not exact everywhere; send them as text");
    }
    return value + 0;
  }
  if (depth === DEPTH_MAX) {
    throw new Unfit(`expected JSON of at most ${DEPTH_MAX} levels`);
  }
  if (isArray(value)) {
    return value.map((item) => cleaned(item, depth + 1));
  }
  if (!isObject(value)) {
    throw new Unfit(`expected JSON, which has no ${typeof value}`);
  }
  return objectOf(
    Object.entries(value).map(([name, item]): [string, Json] => [wellFormed(name), cleaned(item, depth + 1)]),
  );
}

export function requireObject(value: Json): JsonObject {
  if (!isObject(value)) {
    throw new Unfit("expected a JSON object");
  }
  return value;
}

/** An object without the members that are `null`: in a new record there is nothing to remove. */
export function withoutNullMembers(value: Json): JsonObject {
  return objectOf(Object.entries(requireObject(value)).filter(([, item]) => item !== null));
}

/** An object whose members are `true`, `false` or, to remove one, `null`. */
export function flags(value: JsonObject): JsonObject {
  const stray = Object.entries(value).find(([, item]) => item !== null && typeof item !== "boolean");
  if (stray !== undefined) {
    throw new Unfit(`expected true or false for \`${stray[0]}\``);
  }
  return value;
}

/** Lower-case hyphenated UUID text; other notations are refused. */
export function uuid(value: Json): string {
  const text = typeof value === "string" ? value.toLowerCase() : "";
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) {
    throw new Unfit("expected a UUID like 0192f0c1-7b1e-7cc2-9d3e-2f6f3f0c8a11");
  }
  return text;
}

/** Distinct items in order of their code points. */
export function setOf(value: Json, rule: ItemRule): readonly string[] {
  if (!isArray(value)) {
    throw new Unfit("expected an array of texts");
  }
  const items = [...new Set(value.map((item) => setItem(item, rule)))].sort(compareText);
  if (items.length > rule.maxItems) {
    throw new Unfit(`expected at most ${rule.maxItems} items`);
  }
  return items;
}

/** `{"add": [..], "remove": [..]}` with both members, or the array that is meant to be the whole set. */
export function setPatch(value: Json, rule: ItemRule): Json {
  if (!isObject(value)) {
    return setOf(value, rule);
  }
  const part = (name: string): readonly string[] => setOf(Object.hasOwn(value, name) ? member(value, name) : [], rule);
  const [add, remove] = [part("add"), part("remove")];
  if (Object.keys(value).some((name) => name !== "add" && name !== "remove")) {
    throw new Unfit('expected {"add": [..], "remove": [..]} or an array');
  }
  const both = remove.find((item) => add.includes(item));
  if (both !== undefined) {
    throw new Unfit(`${JSON.stringify(both)} is both added and removed`);
  }
  return { add, remove };
}

function setItem(item: Json, rule: ItemRule): string {
  if (typeof item !== "string") {
    throw new Unfit(rule.items === "uuid" ? "expected UUIDs" : "expected text");
  }
  const text = rule.items === "uuid" ? uuid(item) : wellFormed(item);
  const canonical = rule.items === "folded_text" ? trimmed(text).toLowerCase() : text;
  if (isBlank(canonical)) {
    throw new Unfit("expected items that are not blank");
  }
  if ([...canonical].length > rule.maxLength) {
    throw new Unfit(`expected items of at most ${rule.maxLength} characters`);
  }
  return canonical;
}
