/** Structured data of a page, JSON-LD and microdata alike: things with types and named values. */

import { DEPTH_MAX, LIMITS, NODES_MAX } from "./limits.ts";
import type { Snapshot, SnapshotItem } from "./snapshot.ts";
import { line } from "./text.ts";

/** A thing that structured data describes. Names and values are the page's; nothing of them was interpreted. */
export interface Thing {
  readonly from: "json_ld" | "microdata";
  /** Short names, `Person` for `https://schema.org/Person`. */
  readonly types: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, readonly (string | Thing)[]>;
}

/** All things of a page, outer ones before those inside them. JSON-LD comes first: pages keep it up better. */
export function thingsOf(snapshot: Snapshot): Thing[] {
  const budget = { left: NODES_MAX };
  const found: Thing[] = [];
  for (const text of snapshot.jsonLd) {
    readThing(parsed(text), { budget, found, depth: 0 });
  }
  return [...found, ...microdata(snapshot.items)];
}

/** First value of a name as one line of text; of a thing its name. */
export function textOf(thing: Thing, name: string): string {
  for (const value of thing.values.get(name) ?? []) {
    const text = typeof value === "string" ? value : textOfName(value);
    if (text !== "") {
      return text;
    }
  }
  return "";
}

/** Things that are values of a name. */
export function partsOf(thing: Thing, ...names: readonly string[]): Thing[] {
  return names.flatMap((name) => (thing.values.get(name) ?? []).filter((value) => typeof value !== "string"));
}

function textOfName(thing: Thing): string {
  const value = thing.values.get("name")?.find((held) => typeof held === "string");
  return typeof value === "string" ? value : "";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A page whose data do not parse has none.
    return undefined;
  }
}

interface Walk {
  readonly budget: { left: number };
  readonly found: Thing[];
  readonly depth: number;
}

/** Reads a value; the things in it are added to `found`. Returns what stands in its place in the thing around it. */
function readThing(value: unknown, walk: Walk): (string | Thing)[] {
  walk.budget.left -= 1;
  if (walk.budget.left < 0 || walk.depth > DEPTH_MAX) {
    return [];
  }
  const inner = { ...walk, depth: walk.depth + 1 };
  if (typeof value === "string" || typeof value === "number") {
    const text = line(String(value).slice(0, LIMITS.selectionChars), LIMITS.textChars);
    return text === "" ? [] : [text];
  }
  if (Array.isArray(value)) {
    const read: (string | Thing)[] = [];
    for (const item of value) {
      if (walk.budget.left < 0) {
        break;
      }
      read.push(...readThing(item, inner));
    }
    return read;
  }
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const types = new Set<string>();
  const values = new Map<string, (string | Thing)[]>();
  const thing: Thing = { from: "json_ld", types, values };
  walk.found.push(thing);
  // Own names alone, and into a map: a name such as `__proto__` is a name like any other.
  for (const name of Object.keys(value)) {
    if (walk.budget.left < 0) {
      break;
    }
    const read = readThing((value as Record<string, unknown>)[name], inner);
    if (name === "@type") {
      addTypes(types, read.filter((type) => typeof type === "string").join(" "));
    } else if (name !== "@context" && read.length > 0) {
      values.set(name, read);
    }
  }
  return [thing];
}

function microdata(items: readonly SnapshotItem[]): Thing[] {
  const things = items.map((item) => {
    const types = new Set<string>();
    addTypes(types, item.types);
    return { from: "microdata" as const, types, values: new Map<string, (string | Thing)[]>() };
  });
  for (const [index, { properties }] of items.entries()) {
    const values = things[index]?.values;
    for (const [name, value] of properties) {
      const held = typeof value === "number" ? things[value] : line(value, LIMITS.textChars);
      if (held !== undefined && held !== "" && values !== undefined) {
        values.set(name, [...(values.get(name) ?? []), held]);
      }
    }
  }
  return things;
}

function addTypes(types: Set<string>, words: string): void {
  for (const word of words.split(/\s+/)) {
    const short = word.split(/[/#:]/).at(-1) ?? "";
    if (short !== "") {
      types.add(short);
    }
  }
}
