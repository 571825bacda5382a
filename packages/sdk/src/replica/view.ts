/** What screens show: base ⊕ pending (spec VEW-1). */

import { type Fields, objectOf } from "../json.ts";
import { patchedFields } from "../merge/values.ts";
import { type Op, type RecordKey, targetOf } from "../protocol/frames.ts";
import { defaultsFor } from "../schema/canonical.ts";
import type { Entity, Schema } from "../schema/schema.ts";
import type { Outbox } from "./outbox.ts";
import type { Replica } from "./replica.ts";
import { nameOf } from "./step.ts";
import type { BaseRecord, Pending, ReplicaStore } from "./store.ts";

/** A record as the person sees it. Never changed: a new state is a new object. */
export interface Viewed {
  readonly entity: string;
  readonly id: string;
  /** Of the base; 0 while the record exists here only. */
  readonly rv: number;
  readonly scope?: string;
  readonly fields: Fields;
  /** `pending`: part of it waits in the outbox. */
  readonly state: "synced" | "pending";
}

/** What a view is made of. */
export interface Seen extends Pick<Replica, "schema"> {
  readonly store: Pick<ReplicaStore, "base">;
  readonly outbox: Pick<Outbox, "touching">;
}

/** The record as the person sees it; `undefined`: there is none, or its deletion is pending. */
export async function viewOf(replica: Seen, key: RecordKey): Promise<Viewed | undefined> {
  const [view] = await viewsOf(replica, [key]);
  return view;
}

/** Several records as the person sees them, in the order of `keys`. `known`: base records by name, which are not read. */
export async function viewsOf(
  replica: Seen,
  keys: readonly RecordKey[],
  known: ReadonlyMap<string, BaseRecord | undefined> = new Map(),
): Promise<(Viewed | undefined)[]> {
  const base = new Map(known);
  const unknown = keys.filter((key) => !base.has(nameOf(key)));
  const records = unknown.length === 0 ? [] : await replica.store.base(unknown);
  for (const [index, key] of unknown.entries()) {
    base.set(nameOf(key), records[index]);
  }
  return keys.map((key) => overlaid(replica.schema, key, base.get(nameOf(key)), replica.outbox.touching(key)));
}

/** A base record with the ops of pending mutations on it. */
export function overlaid(
  schema: Schema,
  key: RecordKey,
  base: BaseRecord | undefined,
  pending: readonly Pending[],
): Viewed | undefined {
  const entity = schema.entities.get(key[0]);
  let view = base === undefined ? undefined : synced(base);
  if (entity === undefined) {
    return view;
  }
  for (const { mutation, isInBase } of pending) {
    for (const op of isInBase === true ? [] : mutation.ops) {
      if (nameOf(targetOf(op)) === nameOf(key)) {
        view = overlay(entity, view, op);
      }
    }
  }
  return view;
}

export function synced({ entity, id, rv, scope, fields }: BaseRecord): Viewed {
  return { entity, id, rv, scope, fields, state: "synced" };
}

/** One pending op over what is shown. */
function overlay(entity: Entity, view: Viewed | undefined, op: Op): Viewed | undefined {
  switch (op.op) {
    case "create":
      // With a view: another device made the same natural record, or the creation is in the base already.
      return view === undefined ? fresh(entity, op.id, op.fields) : patch(entity, view, op.fields);
    case "update":
      return view && patch(entity, view, op.fields);
    case "delete":
      return undefined;
    case "restore":
      return view ?? fresh(entity, op.id, op.fields ?? {});
    case "resolve":
      return view && patch(entity, view, { state: "resolved", resolution: op.resolution });
  }
}

function fresh(entity: Entity, id: string, fields: Fields): Viewed {
  const whole = objectOf([...Object.entries(fields), ...defaultsFor(entity, fields)]);
  return { entity: entity.name, id, rv: 0, fields: whole, state: "pending" };
}

function patch(entity: Entity, view: Viewed, fields: Fields): Viewed {
  return { ...view, fields: patchedFields(entity.fields, view.fields, fields), state: "pending" };
}
