/**
 * Laws of the merge policy, over random edits of two people from one base (invariant 8).
 *
 * 1. Where a strategy is meant to commute, the result does not depend on whose edit arrives first.
 * 2. Repeating an edit that has taken effect changes nothing.
 * 3. No value is invented: every result was written by one of the two or stood in the base.
 * 4. A group is never a mixture of both sides.
 */

import fc from "fast-check";
import { expect, it } from "vitest";
import { type Fields, isArray, isObject, type Json, jsonEquals, member, objectOf } from "../../src/json.ts";
import { planGroup, type Version } from "../../src/merge/plan.ts";
import { itemsOf, patched } from "../../src/merge/values.ts";
import { canonicalUpdate } from "../../src/schema/canonical.ts";
import { type Entity, type Group, readSchema } from "../../src/schema/schema.ts";

const ORDER = ["a", "b", "c"];
const schema = readSchema({
  version: 1,
  roles: { agent: 30 },
  entities: {
    things: {
      fields: {
        name: { type: "text", strategy: "last-write-wins" },
        street: { type: "text" },
        city: { type: "text" },
        zip: { type: "text" },
        tags: { type: "set", items: "text" },
        visits: { type: "counter" },
        seen: { type: "integer", min: 0, max: 1000, strategy: "max" },
        meta: { type: "json", strategy: "merge-keys" },
        consent: { type: "json", strategy: "most-restrictive-wins" },
        level: { type: "choice", choices: ORDER, strategy: "priority-wins", order: ORDER },
      },
      groups: { address: { fields: ["street", "city", "zip"], strategy: "last-write-wins" } },
    },
  },
});
const things = schema.entities.get("things") as Entity;
const groups = [...new Set([...things.fields.values()].map((field) => field.group))];

/** A live record: values, and when each field and set element was last changed. */
interface Live {
  readonly fields: Fields;
  readonly versions: ReadonlyMap<string, Version>;
  readonly elements: ReadonlyMap<string, number>;
}

interface Edit {
  readonly patch: Fields;
  readonly authoredMs: number;
}

const BASE_SEQ = 1;

/** Decides an edit of somebody who saw the base, group by group, and writes what was decided. */
function apply(live: Live, base: Fields, { patch, authoredMs }: Edit, seq: number): Live {
  const canonical = canonicalUpdate(things, patch);
  if (!canonical.ok) {
    throw new Error(canonical.error.message);
  }
  const fields = new Map(Object.entries(live.fields));
  const versions = new Map(live.versions);
  const elements = new Map(live.elements);
  for (const group of groups) {
    const own = Object.entries(canonical.value).filter(([name]) => group.fields.includes(name));
    if (own.length === 0) {
      continue;
    }
    for (const [name, value] of Object.entries(decide(live, base, group, { patch: objectOf(own), authoredMs }))) {
      const before = new Set(isArray(fields.get(name)) ? (fields.get(name) as readonly Json[]) : []);
      for (const item of isArray(value) ? value : []) {
        if (!before.has(item)) {
          elements.set(`${name} ${String(item)}`, seq);
        }
      }
      if (value === null) {
        fields.delete(name);
      } else {
        fields.set(name, value);
      }
      versions.set(name, { seq, authoredMs });
    }
  }
  return { fields: objectOf(fields), versions, elements };
}

function decide(live: Live, base: Fields, group: Group, { patch, authoredMs }: Edit): Fields {
  const plan = planGroup({
    entity: things,
    group,
    theirs: live.fields,
    versionOf: (field) => live.versions.get(field) ?? { seq: BASE_SEQ, authoredMs: 0 },
    elementSeq: (field, element) => live.elements.get(`${field} ${element}`) ?? BASE_SEQ,
    patch,
    authoredMs,
    rank: 30,
    seen: { hasSeen: (seq) => seq <= BASE_SEQ, base, rankOf: () => 30 },
  });
  return plan.plan === "apply" || plan.plan === "combine" || plan.plan === "win" ? plan.fields : {};
}

const word = fc.constantFrom("x", "y", "z", null);
const items = fc.uniqueArray(fc.constantFrom("x", "y", "z"), { maxLength: 3 }).map((list) => [...list].sort());
const keys = fc.dictionary(fc.constantFrom("k", "l"), fc.constantFrom<Json>(1, 2, null), { maxKeys: 2 });
const flags = fc.dictionary(fc.constantFrom("k", "l"), fc.constantFrom<Json>(true, false, null), { maxKeys: 2 });
const change = fc
  .tuple(items, items)
  .map(([add, remove]) => ({ add, remove: remove.filter((item) => !add.includes(item)) }));
const patches = fc.record(
  {
    name: word,
    street: word,
    city: word,
    zip: word,
    tags: change,
    visits: fc.integer({ min: -5, max: 5 }).map((inc) => ({ inc })),
    seen: fc.integer({ min: 0, max: 9 }),
    meta: keys,
    consent: flags,
    level: fc.constantFrom(...ORDER),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Fields>;
const bases = fc.record(
  {
    name: fc.constantFrom("x", "y"),
    street: fc.constantFrom("x", "y"),
    city: fc.constantFrom("x", "y"),
    zip: fc.constantFrom("x", "y"),
    tags: items.filter((list) => list.length > 0),
    visits: fc.integer({ min: 0, max: 5 }),
    seen: fc.integer({ min: 0, max: 9 }),
    meta: fc.constantFrom({ k: 1 }, { k: 1, l: 2 }),
    consent: fc.constantFrom({ k: true }, { k: false, l: true }),
    level: fc.constantFrom(...ORDER),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<Fields>;

function live(fields: Fields): Live {
  return { fields, versions: new Map(), elements: new Map() };
}

/** An edit without what changes nothing, as replicas send it: saying again what is there is no change. */
function effective(base: Fields, patch: Fields): Fields {
  const held = itemsOf(member(base, "tags"));
  return objectOf(
    Object.entries(patch).flatMap(([name, value]): [string, Json][] => {
      if (name === "tags" && isObject(value)) {
        const add = [...itemsOf(member(value, "add"))].filter((item) => !held.has(item));
        return [[name, { add, remove: [...itemsOf(member(value, "remove"))].filter((item) => held.has(item)) }]];
      }
      if (isObject(value) && (name === "meta" || name === "consent")) {
        const current = member(base, name);
        const isNew = ([key, item]: [string, Json]): boolean =>
          !jsonEquals(isObject(current) ? member(current, key) : null, item);
        return [[name, objectOf(Object.entries(value).filter(isNew))]];
      }
      return jsonEquals(value, member(base, name)) ? [] : [[name, value]];
    }),
  );
}

function without(fields: Fields, ...names: readonly string[]): Fields {
  return objectOf(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

it("[MRG-14] whose edit arrives first does not matter where a strategy commutes", () => {
  fc.assert(
    fc.property(bases, patches, patches, (base, a, b) => {
      const first = { patch: effective(base, a), authoredMs: 10 };
      const second = { patch: effective(base, b), authoredMs: 20 };
      const ab = apply(apply(live(base), base, first, 2), base, second, 3);
      const ba = apply(apply(live(base), base, second, 2), base, first, 3);
      // Restrictions of a concurrent edit stay, of a seen one may be lifted: with equal keys that depends on who was asked
      // first, and both results keep every `true` that nobody had seen.
      expect(without(ab.fields, "consent")).toEqual(without(ba.fields, "consent"));
    }),
    { numRuns: 2_000 },
  );
});

it("[MRG-14] repeating an edit that has taken effect changes nothing, counters apart", () => {
  fc.assert(
    fc.property(bases, patches, (base, patch) => {
      const edit = { patch: without(patch, "visits"), authoredMs: 10 };
      const once = apply(live(base), base, edit, 2);
      expect(apply(once, base, edit, 3).fields).toEqual(once.fields);
    }),
    { numRuns: 2_000 },
  );
});

it("[MRG-14] no value is invented, and a group is never a mixture", () => {
  fc.assert(
    fc.property(bases, patches, patches, fc.boolean(), (base, a, b, isLater) => {
      const [first, second] = [
        { patch: a, authoredMs: 10 },
        { patch: b, authoredMs: isLater ? 20 : 5 },
      ];
      const { fields } = apply(apply(live(base), base, first, 2), base, second, 3);
      for (const field of things.fields.values()) {
        const { name } = field;
        const value = member(fields, name);
        const alone = [a, b].map((patch) =>
          Object.hasOwn(patch, name) ? patched(field, member(base, name), member(patch, name)) : member(base, name),
        );
        const possible = [member(base, name), ...alone];
        if (value === null && (field.kind.type === "set" || field.kind.type === "json")) {
          // Both together may have taken out all of it.
          continue;
        }
        if (isArray(value)) {
          const known = possible.flatMap((side) => (isArray(side) ? side : []));
          expect(
            value.every((item) => known.includes(item)),
            name,
          ).toBe(true);
        } else if (isObject(value)) {
          const isKnown = ([key, item]: [string, Json]): boolean =>
            possible.some((side) => isObject(side) && jsonEquals(member(side, key), item));
          expect(Object.entries(value).every(isKnown), name).toBe(true);
        } else if (name !== "visits") {
          expect(
            possible.some((side) => jsonEquals(side, value)),
            name,
          ).toBe(true);
        }
      }
      const address = ["street", "city", "zip"];
      const of = (patch: Fields): Json =>
        address.map((name) => (Object.hasOwn(patch, name) ? member(patch, name) : member(base, name)));
      const stands = address.map((name) => member(fields, name));
      expect(
        [of({}), of(a), of(b)].some((side) => jsonEquals(side, stands)),
        JSON.stringify(stands),
      ).toBe(true);
    }),
    { numRuns: 2_000 },
  );
});
