/**
 * What the server will say, before it is asked: transitions that are not allowed, values another record has, and what a
 * resolution makes of a record. A device knows no more than its copy, so a silent warning promises nothing; CEL rules, roles
 * and approvals are for the server alone.
 */

import { type Fields, type Json, jsonEquals, member } from "../json.ts";
import type { Resolution } from "../protocol/frames.ts";
import { err, ok, type Result } from "../result.ts";
import { canonicalCreate, canonicalUpdate, type Invalid } from "../schema/canonical.ts";
import type { UniqueDeclaration } from "../schema/declaration.ts";
import type { Entity } from "../schema/schema.ts";
import { planGroup } from "./plan.ts";
import { patchedFields } from "./values.ts";

export interface Warning {
  /** The code the server would answer with. */
  readonly code: "validation" | "rule" | "unique";
  readonly field: string;
  /** What is wrong and what to do, for a person. */
  readonly message: string;
}

/** A record that is to be created or changed. */
export interface Wanted {
  readonly entity: Entity;
  /** As it is on the device; absent: it is created. */
  readonly before?: Fields;
  /** What the person has written. */
  readonly fields: Fields;
  /** The uniquenesses that the schema declares for the entity. */
  readonly unique?: readonly UniqueDeclaration[];
  /** Values of the other live records on the device; only asked when the entity has a uniqueness. */
  readonly others?: () => Iterable<Fields>;
}

/** Everything the server would refuse that a device can know. O(other records) where there is a uniqueness. */
export function warningsOf({ entity, before, fields, unique = [], others }: Wanted): Warning[] {
  const canonical = before === undefined ? canonicalCreate(entity, fields) : canonicalUpdate(entity, fields);
  if (!canonical.ok) {
    return [{ code: "validation", ...canonical.error }];
  }
  const after = before === undefined ? canonical.value : patchedFields(entity.fields, before, canonical.value);
  const transitions = before === undefined ? [] : transitionWarnings(entity, before, after);
  const declared = others === undefined ? [] : unique;
  const keys = declared.map((each) => uniqueKey(each, after));
  const isOwn = declared.map((each, index) => before !== undefined && uniqueKey(each, before) === keys[index]);
  const taken = new Set<UniqueDeclaration>();
  for (const other of declared.length === 0 ? [] : (others?.() ?? [])) {
    for (const [index, each] of declared.entries()) {
      if (keys[index] !== undefined && !isOwn[index] && uniqueKey(each, other) === keys[index]) {
        taken.add(each);
      }
    }
  }
  const clashes = [...taken].map((each): Warning => {
    const [field = ""] = each.fields.filter((name) => member(fields, name) !== null);
    const message = `another ${entity.name} has this ${each.fields.join(" and ")}: use that one or another value`;
    return { code: "unique", field, message };
  });
  return [...transitions, ...clashes];
}

/** What a resolution would make of a record (spec CNF-2). */
export type Preview =
  | { readonly becomes: "changed" | "restored"; readonly fields: Fields; readonly changes: readonly Change[] }
  | { readonly becomes: "unchanged"; readonly fields: Fields }
  /** It goes, or stays gone. */
  | { readonly becomes: "deleted" };

export interface Change {
  readonly field: string;
  readonly before: Json;
  readonly after: Json;
}

/** A conflict that is to be decided, and the record it is about: `live` is absent when that is deleted. */
export interface Decision {
  readonly entity: Entity;
  readonly conflict: Fields;
  readonly live?: Fields;
  readonly resolution: Resolution;
  /** Values of a `custom` resolution. */
  readonly custom?: Fields;
}

/** Shows mine, theirs or something else as it would be, before anything is decided. */
export function previewOf(decision: Decision): Result<Preview, Invalid> {
  const { entity, live } = decision;
  const chosen = chosenOf(decision);
  if (!chosen.ok) {
    return chosen;
  }
  if (chosen.value === undefined) {
    return ok({ becomes: "deleted" });
  }
  const before = live ?? {};
  const after = Object.fromEntries(
    [...Object.entries(before), ...Object.entries(chosen.value)].filter(([name]) => entity.fields.has(name)),
  );
  const fields = Object.fromEntries(Object.entries(after).filter(([, value]) => value !== null));
  const illegal = live === undefined ? undefined : transitionWarnings(entity, live, fields)[0];
  if (illegal !== undefined) {
    return err(illegal);
  }
  const changes = Object.entries(after).flatMap(([field, value]): Change[] =>
    jsonEquals(member(before, field), value) ? [] : [{ field, before: member(before, field), after: value }],
  );
  if (live === undefined) {
    return ok({ becomes: "restored", fields, changes });
  }
  return ok(changes.length === 0 ? { becomes: "unchanged", fields } : { becomes: "changed", fields, changes });
}

/** The values a resolution writes; `undefined`: that side had deleted the record. */
function chosenOf({ entity, conflict, live, resolution, custom }: Decision): Result<Fields | undefined, Invalid> {
  switch (resolution) {
    case "use_mine":
      return ok((member(conflict, "mine") ?? undefined) as Fields | undefined);
    case "use_theirs":
      return ok((member(conflict, "theirs") ?? undefined) as Fields | undefined);
    case "custom": {
      const patch = canonicalUpdate(entity, custom ?? {});
      if (!patch.ok) {
        return patch;
      }
      const after = patchedFields(entity.fields, live ?? {}, patch.value);
      return ok(Object.fromEntries(Object.keys(patch.value).map((name) => [name, member(after, name)])));
    }
  }
}

/** Steps of state machines that lead where they may not, by somebody who has seen everything. */
function transitionWarnings(entity: Entity, before: Fields, after: Fields): Warning[] {
  return [...entity.fields.values()].flatMap((field): Warning[] => {
    const wanted = member(after, field.name);
    if (field.group.strategy.name !== "state-machine" || jsonEquals(member(before, field.name), wanted)) {
      return [];
    }
    const plan = planGroup({
      entity,
      group: field.group,
      theirs: before,
      versionOf: () => ({ seq: 0, authoredMs: 0 }),
      elementSeq: () => 0,
      patch: { [field.name]: wanted },
      authoredMs: 0,
      rank: 0,
      seen: { hasSeen: () => true, base: before, rankOf: () => 0 },
    });
    return plan.plan === "reject" ? [{ code: "rule", field: plan.field, message: plan.message }] : [];
  });
}

/** What a uniqueness compares; `undefined`: a value is missing, so the record is not compared. */
function uniqueKey(unique: UniqueDeclaration, fields: Fields): string | undefined {
  const values = unique.fields.map((name) => member(fields, name));
  const folded = values.map((value) =>
    typeof value === "string" && unique.case_folded === true ? value.toLowerCase() : value,
  );
  return values.includes(null) ? undefined : JSON.stringify(folded);
}
