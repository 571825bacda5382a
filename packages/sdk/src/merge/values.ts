/** How single values combine, by type. Everything here is total: a value of another shape than expected counts as empty. */

import { compareText, type Fields, isArray, isObject, type Json, jsonEquals, member, objectOf } from "../json.ts";
import { compareDecimals } from "../schema/number.ts";
import type { Field, FieldKind } from "../schema/schema.ts";

/** The items of a set value or of one side of a set patch. */
export function itemsOf(value: Json): Set<string> {
  return new Set(isArray(value) ? value.filter((item) => typeof item === "string") : []);
}

/** An empty set is `null`. */
function setValue(items: Iterable<string>): Json {
  const sorted = [...new Set(items)].sort(compareText);
  return sorted.length === 0 ? null : sorted;
}

/**
 * The set after a patch (spec VAL-2): adds go in, removes and omissions take out only what `hasSeen` of the element says
 * the author saw (spec MRG-4).
 */
export function setAfter(current: Json, patch: Json, hasSeen: (element: string) => boolean): Json {
  const before = itemsOf(current);
  const add = isObject(patch) ? itemsOf(member(patch, "add")) : itemsOf(patch);
  const remove = isObject(patch)
    ? itemsOf(member(patch, "remove"))
    : new Set([...before].filter((item) => !add.has(item)));
  const kept = [...before].filter((item) => !remove.has(item) || add.has(item) || !hasSeen(item));
  return setValue([...kept, ...add]);
}

/**
 * A canonical update value of one field applied by somebody who has seen everything (spec VAL-2): what a replica shows of
 * its own pending edit. The result is a whole value.
 */
export function patched(field: Field, current: Json, patch: Json): Json {
  if (patch === null) {
    return null;
  }
  if (field.kind.type === "set") {
    return setAfter(current, patch, () => true);
  }
  if (field.kind.type === "counter") {
    return isObject(patch) ? wholeOr0(current) + wholeOr0(member(patch, "inc")) : patch;
  }
  const strategy = field.group.strategy.name;
  return strategy === "merge-keys" || strategy === "most-restrictive-wins" ? overlayObject(current, patch) : patch;
}

function wholeOr0(value: Json): number {
  return typeof value === "number" ? value : 0;
}

/** Fields with a patch applied by somebody who has seen everything. */
export function patchedFields(fields: ReadonlyMap<string, Field>, current: Fields, patch: Fields): Fields {
  const after = new Map(Object.entries(current));
  for (const [name, value] of Object.entries(patch)) {
    const field = fields.get(name);
    const result = field === undefined ? null : patched(field, member(current, name), value);
    if (result === null) {
      after.delete(name);
    } else {
      after.set(name, result);
    }
  }
  return objectOf(after);
}

/** `patch`'s members over `current`'s top-level ones; a `null` member removes the key. An empty object is `null`. */
export function overlayObject(current: Json, patch: Json): Json {
  const after = new Map(isObject(current) ? Object.entries(current) : []);
  for (const [key, value] of isObject(patch) ? Object.entries(patch) : []) {
    if (value === null) {
      after.delete(key);
    } else {
      after.set(key, value);
    }
  }
  return after.size === 0 ? null : objectOf(after);
}

/**
 * Keys of `patch` that theirs changed since `base` to something else than the patch wants. With `base` unknown
 * (`undefined`): all on which they differ.
 */
export function contestedKeys(base: Json | undefined, theirs: Json, patch: Json): Set<string> {
  const of = (value: Json, key: string): Json => (isObject(value) ? member(value, key) : null);
  const isContested = ([key, mine]: [string, Json]): boolean => {
    const held = of(theirs, key);
    const isChanged = base === undefined || !jsonEquals(of(base, key), held);
    return isChanged && !jsonEquals(held, mine);
  };
  const entries = isObject(patch) ? Object.entries(patch) : [];
  return new Set(entries.filter(isContested).map(([key]) => key));
}

/** Orders two values of one field for lists: no value first, numbers and decimals by size, anything else by its text. */
export function compareValues(kind: FieldKind | undefined, a: Json, b: Json): number {
  if (a === null || b === null) {
    return (a === null ? 0 : 1) - (b === null ? 0 : 1);
  }
  if (typeof a === "number" && typeof b === "number") {
    return a - b;
  }
  if (typeof a === "string" && typeof b === "string") {
    return kind?.type === "decimal" ? compareDecimals(a, b) : compareText(a, b);
  }
  return compareText(JSON.stringify(a), JSON.stringify(b));
}

/** Whether `mine` is the larger value of the type. Dates and timestamps are canonical text, which sorts by time. */
export function isLarger(kind: FieldKind, mine: Json, theirs: Json): boolean {
  return compareValues(kind, mine, theirs) > 0;
}

/** Compares two words by their place in `order`; a word that is not in it, or no value, comes before all. */
export function compareInOrder(order: readonly string[], mine: Json, theirs: Json): number {
  const place = (value: Json): number => (typeof value === "string" ? order.indexOf(value) : -1);
  return place(mine) - place(theirs);
}
