/** What screens show: base ⊕ pending (spec VEW-1). */

import { type Fields, objectOf } from "../json.ts";
import { patchedFields } from "../merge/values.ts";
import { type Op, type RecordKey, targetOf } from "../protocol/frames.ts";
import { defaultsFor } from "../schema/canonical.ts";
import type { Entity, Schema } from "../schema/schema.ts";
import type { Replica } from "./replica.ts";
import { nameOf } from "./step.ts";
import type { BaseRecord, Pending } from "./store.ts";

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

/** The record as the person sees it; `undefined`: there is none, or its deletion is pending. */
export async function viewOf(replica: Replica, key: RecordKey): Promise<Viewed | undefined> {
  const [view] = await viewsOf(replica, [key]);
  return view;
}

/** Several records as the person sees them, in the order of `keys`. */
export async function viewsOf(replica: Replica, keys: readonly RecordKey[]): Promise<(Viewed | undefined)[]> {
  const base = await replica.store.base(keys);
  const touched = new Map<string, Set<string>>();
  for (const entity of new Set(keys.map(([name]) => name))) {
    touched.set(entity, await replica.pendingIds(entity));
  }
  const views: (Viewed | undefined)[] = [];
  for (const [index, key] of keys.entries()) {
    const [entity, id] = key;
    const ids = touched.get(entity);
    const pending = ids?.has(id) ? await replica.store.pendingFor(entity, id) : [];
    if (pending.length === 0) {
      ids?.delete(id);
    }
    views.push(overlaid(replica.schema, key, base[index], pending));
  }
  return views;
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
