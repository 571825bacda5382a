/** What every store needs: the keys of its indexes, and the check before a write. */

import { isArray, type Json } from "../json.ts";
import { SEQ_END } from "../protocol/limits.ts";
import { type BaseRecord, type ReplicaWrites, StoreError } from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";

/** Index entries of a record: scalars as they are, sets by element. */
export function indexKeys(schema: Schema, record: BaseRecord): string[] {
  const keys: string[] = [];
  for (const field of schema.entities.get(record.entity)?.fields.values() ?? []) {
    const value = field.isIndexed ? (record.fields[field.name] ?? null) : null;
    const values = field.kind.type === "set" && isArray(value) ? value : value === null ? [] : [value];
    keys.push(...values.map((item) => valueKey(record.entity, field.name, item)));
  }
  return keys;
}

/** The key under which an index knows a value of a field. */
export function valueKey(entity: string, field: string, value: Json): string {
  return `${entity} ${field} ${JSON.stringify(value)}`;
}

export function requireIndex(schema: Schema, entity: string, field: string): void {
  if (schema.entities.get(entity)?.fields.get(field)?.isIndexed !== true) {
    throw new StoreError("corrupt_local", `${entity}.${field} has no index`);
  }
}

/** Refuses numbers that no store and no wire can hold (spec ID-5), before anything is written. */
export function checkNumbers(writes: ReplicaWrites): void {
  const mutations = [...(writes.outboxPut ?? []), ...(writes.acknowledgedPut ?? []), ...(writes.rejectedPut ?? [])];
  const seqs = mutations.map(({ mutation }) => mutation.client_seq);
  const rvs = (writes.basePut ?? []).map((record) => record.rv);
  const bad = [...seqs, ...rvs].find((number) => !(number < SEQ_END));
  if (bad !== undefined) {
    throw new StoreError("corrupt_local", `${bad} is not below 2^53`);
  }
}
