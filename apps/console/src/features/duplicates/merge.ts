/**
 * Two or more contacts become one: which values stay, what moves over, what is done with the others, and how to take it back.
 * It is one mutation of ordinary edits, so it happens whole or not at all, with or without a network. Pure.
 */

import type { Edit, Fields, Json } from "@syncline/sdk";
import type { EntityName, Row } from "../../data/live.ts";
import type { Relation } from "../../data/relations.ts";
import { entityOf, fieldOf, isEditable } from "../../data/schema.ts";
import { phoneKey } from "../leads/duplicates.ts";

/** A record that is about one of the contacts. */
export interface Related {
  readonly relation: Relation;
  readonly id: string;
  /** The contact it names. */
  readonly contactId: string;
}

/** Fields that change together, with what each contact has. */
export interface MergeUnit {
  readonly key: string;
  readonly names: readonly string[];
  /** Places of the contacts that have a value, in the order of the contacts. */
  readonly holders: readonly number[];
  /** The contact whose values stay. */
  readonly from: number;
  /** The values of all are put together: a person chooses nothing. */
  readonly isJoined: boolean;
  readonly values: Fields;
}

export interface MergePlan {
  /** Units in which at least one contact has a value, those in which they differ first. */
  readonly units: readonly MergeUnit[];
  /** Records that are given the contact that stays, counted by entity. */
  readonly moved: ReadonlyMap<EntityName, number>;
  /** Records that cannot be given another contact: theirs is archived, not deleted. */
  readonly staying: ReadonlyMap<EntityName, number>;
  readonly deleted: readonly string[];
  readonly archived: readonly string[];
  readonly edits: readonly Edit[];
  /** What an undo looks at and writes, in the order of the edits. */
  readonly inverse: readonly Inverse[];
}

/** How one edit of a merge is taken back: only what is still as the merge left it. */
export type Inverse =
  | {
      readonly undo: "update";
      readonly entity: EntityName;
      readonly id: string;
      readonly before: Fields;
      readonly after: Fields;
    }
  | { readonly undo: "restore"; readonly entity: EntityName; readonly id: string };

/** Edits of one mutation; a merge that needs more is refused. */
export const EDITS_MAX = 250;

/** What a merge works on. `contacts[0]` stays; `picks`: by unit, whose values are wanted. */
export interface MergeInput {
  readonly contacts: readonly Row<"contacts">[];
  readonly related: readonly Related[];
  readonly picks?: Readonly<Record<string, number>>;
}

export function planMerge({ contacts, related, picks = {} }: MergeInput): MergePlan {
  const [winner, ...losers] = contacts;
  if (winner === undefined) {
    throw new Error("a merge needs a contact that stays");
  }
  const units = unitsOf(contacts, picks);
  const before = winner.fields as Fields;
  const changes = Object.fromEntries(
    units.flatMap(({ values }) => Object.entries(values)).filter(([name, value]) => !isSame(before[name], value)),
  );
  const moving = related.filter(({ relation, contactId }) => relation.isMovable && contactId !== winner.id);
  const staying = related.filter(({ relation, contactId }) => !relation.isMovable && contactId !== winner.id);
  const kept = new Set(staying.map(({ contactId }) => contactId));
  const [archived, deleted] = [losers.filter(({ id }) => kept.has(id)), losers.filter(({ id }) => !kept.has(id))];
  const inverse: Inverse[] = [
    ...(Object.keys(changes).length === 0 ? [] : [updated("contacts", winner.id, before, changes)]),
    ...moving.map(({ relation: { entity, field }, id, contactId }) =>
      updated(entity, id, { [field]: contactId }, { [field]: winner.id }),
    ),
    ...archived.map(({ id, fields }) => updated("contacts", id, fields as Fields, { is_archived: true })),
    ...deleted.map(({ id }): Inverse => ({ undo: "restore", entity: "contacts", id })),
  ];
  return {
    units,
    moved: countByEntity(moving),
    staying: countByEntity(staying),
    deleted: deleted.map(({ id }) => id),
    archived: archived.map(({ id }) => id),
    edits: inverse.map(
      (step): Edit =>
        step.undo === "update"
          ? { edit: "update", entity: step.entity, id: step.id, fields: step.after }
          : { edit: "delete", entity: step.entity, id: step.id },
    ),
    inverse,
  };
}

function updated(entity: EntityName, id: string, fields: Fields, after: Fields): Inverse {
  const before = Object.fromEntries(Object.keys(after).map((name) => [name, fields[name] ?? null]));
  return { undo: "update", entity, id, before, after };
}

/**
 * The edits that take a merge back. `now`: fields of a record as they are; `undefined`: it is gone. What somebody has changed
 * since the merge stays as it is.
 */
export function planUnmerge(
  inverse: readonly Inverse[],
  now: (entity: EntityName, id: string) => Fields | undefined,
): { readonly edits: readonly Edit[]; readonly kept: number } {
  let kept = 0;
  // Those that were deleted come first, so that what is moved back to them finds them.
  const edits = inverse.toReversed().flatMap((step): Edit[] => {
    if (step.undo === "restore") {
      return now(step.entity, step.id) === undefined
        ? [{ edit: "restore", entity: step.entity, id: step.id, fields: {} }]
        : [];
    }
    const held = now(step.entity, step.id);
    const names = Object.keys(step.after);
    const fields = Object.fromEntries(
      names
        .filter((name) => held !== undefined && isSame(held[name], step.after[name]))
        .map((name) => [name, step.before[name] ?? null]),
    );
    kept += names.length - Object.keys(fields).length;
    return Object.keys(fields).length === 0 ? [] : [{ edit: "update", entity: step.entity, id: step.id, fields }];
  });
  return { edits, kept };
}

/** How the values of several contacts are put together; all other fields keep those of one contact. */
const JOINED: Readonly<Record<string, (values: readonly Json[]) => Json>> = {
  tags: (values) => [...new Set(values.flatMap((value) => (Array.isArray(value) ? value : [])))],
  notes: (values) => [...new Set(values.map(String))].join("\n\n").slice(0, NOTES_MAX),
  last_contacted_at: latest,
  last_activity_at: latest,
  is_favorite: (values) => values.includes(true),
  // A channel that one of them must not be reached by stays forbidden.
  dnd: (values) => mergedObjects(values, (a, b) => a === true || b === true),
  metadata: (values) => mergedObjects(values, (a) => a),
};
const NOTES_MAX = 20_000;
/** Not a person's values: what the merge itself writes. */
const LEFT = new Set(["is_archived"]);

function latest(values: readonly Json[]): Json {
  return values.map(String).sort().at(-1) ?? null;
}

function mergedObjects(values: readonly Json[], both: (a: Json, b: Json) => Json): Json {
  const merged: Record<string, Json> = {};
  for (const value of values) {
    for (const [name, item] of Object.entries((value ?? {}) as Record<string, Json>)) {
      merged[name] = name in merged ? both(merged[name] ?? null, item) : item;
    }
  }
  return merged;
}

function unitsOf(contacts: readonly Row<"contacts">[], picks: Readonly<Record<string, number>>): readonly MergeUnit[] {
  const all = contacts.map(({ fields }) => fields as Fields);
  const names = [...entityOf("contacts").fields.keys()].filter(
    (name) => isEditable("contacts", name, "update") && !LEFT.has(name),
  );
  const byGroup = new Map<string, string[]>();
  for (const name of names) {
    const key = fieldOf("contacts", name).group.fields.join(" ");
    byGroup.set(key, [...(byGroup.get(key) ?? []), name]);
  }
  const units = [...byGroup].flatMap(([key, members]): MergeUnit[] => {
    const holders = all.flatMap((fields, place) => (members.some((name) => !isEmpty(fields[name])) ? [place] : []));
    const [first] = holders;
    if (first === undefined) {
      return [];
    }
    const picked = picks[key];
    const from = picked !== undefined && holders.includes(picked) ? picked : first;
    const join = members.length === 1 ? JOINED[members[0] ?? ""] : undefined;
    const values = Object.fromEntries(
      members.map((name) => [name, join === undefined ? (all[from]?.[name] ?? null) : join(joinedValues(all, name))]),
    );
    return [{ key, names: members, holders, from, isJoined: join !== undefined, values }];
  });
  return withSecondPhone(units, all).sort((a, b) => Number(isAgreed(a, all)) - Number(isAgreed(b, all)));
}

function joinedValues(all: readonly Fields[], name: string): readonly Json[] {
  return all.map((fields) => fields[name]).filter((value): value is Json => !isEmpty(value));
}

/** Another phone is not thrown away while there is room for a second one. */
function withSecondPhone(units: readonly MergeUnit[], all: readonly Fields[]): MergeUnit[] {
  const first = units.find(({ names }) => names.includes("phone_number"));
  const kept = first?.values.phone_number;
  // The same number written otherwise is no other phone.
  const isOther = ({ phone_number: phone }: Fields): boolean =>
    !isEmpty(phone) && (phoneKey(String(phone)) ?? phone) !== (phoneKey(String(kept)) ?? kept);
  const other = all.find(isOther)?.phone_number;
  const hasSecond = units.some(({ names }) => names.includes("secondary_phone"));
  if (hasSecond || other === undefined || first === undefined) {
    return [...units];
  }
  const from = all.findIndex(({ phone_number }) => phone_number === other);
  const values = { secondary_phone: other };
  return [
    ...units,
    { key: "secondary_phone", names: ["secondary_phone"], holders: [from], from, isJoined: true, values },
  ];
}

/** Whether all contacts that have values have the same. */
export function isAgreed({ names, holders }: MergeUnit, all: readonly Fields[]): boolean {
  const [first, ...others] = holders;
  return others.every((place) => names.every((name) => isSame(all[first ?? 0]?.[name], all[place]?.[name])));
}

function countByEntity(related: readonly Related[]): ReadonlyMap<EntityName, number> {
  const counts = new Map<EntityName, number>();
  for (const { relation } of related) {
    counts.set(relation.entity, (counts.get(relation.entity) ?? 0) + 1);
  }
  return counts;
}

function isEmpty(value: Json | undefined): boolean {
  return value === undefined || value === null || value === "" || (Array.isArray(value) && value.length === 0);
}

function isSame(a: Json | undefined, b: Json | undefined): boolean {
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
}

function plain(value: Json | undefined): Json {
  return isEmpty(value) ? null : Array.isArray(value) ? [...value].sort() : (value as Json);
}
