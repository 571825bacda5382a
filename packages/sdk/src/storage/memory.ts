/** A replica store in memory: for tests, for pages that need not outlive themselves, and as the image of key-value stores. */

import { compareText, type Json } from "../json.ts";
import { partitionPoint } from "../order.ts";
import type { RecordKey } from "../protocol/frames.ts";
import { Outbox } from "../replica/outbox.ts";
import type {
  BaseRecord,
  BaseRow,
  Pending,
  Rejected,
  ReplicaMeta,
  ReplicaStore,
  ReplicaWrites,
  ScopeState,
} from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";
import { checkNumbers, indexKeys, requireIndex, valueKey } from "./keys.ts";

/** Records of one entity, with their ids in order as soon as somebody asks for it. */
class Table {
  readonly records = new Map<string, BaseRecord>();
  #ordered: string[] | undefined;

  set(record: BaseRecord): void {
    if (!this.records.has(record.id)) {
      this.#ordered = undefined;
    }
    this.records.set(record.id, record);
  }

  delete(id: string): BaseRecord | undefined {
    const record = this.records.get(id);
    if (record !== undefined) {
      this.records.delete(id);
      this.#ordered = undefined;
    }
    return record;
  }

  ordered(): readonly string[] {
    this.#ordered ??= [...this.records.keys()].sort(compareText);
    return this.#ordered;
  }
}

export class MemoryStore implements ReplicaStore {
  readonly #schema: Schema;
  #meta: ReplicaMeta | undefined;
  readonly #base = new Map<string, Table>();
  /** Ids by entity, field and the canonical value as JSON. */
  readonly #byValue = new Map<string, Set<string>>();
  readonly #byScope = new Map<string, Map<string, BaseRow>>();
  readonly #scopes = new Map<string, ScopeState>();
  readonly #outbox = new Outbox();
  readonly #rejected = new Map<string, Rejected>();
  readonly #acknowledged = new Outbox();
  readonly #local = new Map<string, Json>();

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  async meta(): Promise<ReplicaMeta | undefined> {
    return this.#meta;
  }

  async base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    return keys.map(([entity, id]) => this.#base.get(entity)?.records.get(id));
  }

  async baseFind(entity: string, field: string, value: Json, limit: number): Promise<string[]> {
    requireIndex(this.#schema, entity, field);
    const ids = this.#byValue.get(valueKey(entity, field, value)) ?? [];
    return [...ids].sort(compareText).slice(0, limit);
  }

  async baseScan(entity: string, after: string | undefined, limit: number): Promise<BaseRecord[]> {
    const table = this.#base.get(entity);
    const ids = table?.ordered() ?? [];
    const start = after === undefined ? 0 : partitionPoint(ids, (id) => id <= after);
    return ids.slice(start, start + limit).flatMap((id) => table?.records.get(id) ?? []);
  }

  async baseCount(entity: string): Promise<number> {
    return this.#base.get(entity)?.records.size ?? 0;
  }

  async baseRows(scope: string): Promise<BaseRow[]> {
    const rows = [...(this.#byScope.get(scope)?.values() ?? [])];
    return rows.sort((a, b) => compareText(a[0], b[0]) || compareText(a[1], b[1]));
  }

  async scopes(): Promise<Map<string, ScopeState>> {
    return new Map(this.#scopes);
  }

  async outbox(first: number, limit: number): Promise<Pending[]> {
    return this.#outbox.from(first, limit);
  }

  async outboxCount(): Promise<number> {
    return this.#outbox.size;
  }

  async rejected(): Promise<Rejected[]> {
    const order = (a: Rejected, b: Rejected): number =>
      a.mutation.client_seq - b.mutation.client_seq || compareText(a.mutation.mutation_id, b.mutation.mutation_id);
    return [...this.#rejected.values()].sort(order);
  }

  async acknowledged(first: number): Promise<Pending[]> {
    return this.#acknowledged.from(first);
  }

  async local(key: string): Promise<Json | undefined> {
    return this.#local.get(key);
  }

  async write(writes: ReplicaWrites): Promise<void> {
    this.apply(writes);
  }

  async close(): Promise<void> {}

  /** {@link write} without waiting. Refused writes leave nothing. */
  apply(writes: ReplicaWrites): void {
    checkNumbers(writes);
    if (writes.wipe === true) {
      this.#wipe();
    }
    for (const scope of writes.dropScopes ?? []) {
      for (const [id, entity] of [...(this.#byScope.get(scope)?.values() ?? [])]) {
        this.#deleteBase(entity, id);
      }
      this.#scopes.delete(scope);
    }
    this.#meta = writes.meta ?? this.#meta;
    for (const [scope, state] of writes.scopes ?? []) {
      this.#scopes.set(scope, state);
    }
    for (const record of writes.basePut ?? []) {
      this.#putBase(record);
    }
    for (const [entity, id] of writes.baseDelete ?? []) {
      this.#deleteBase(entity, id);
    }
    this.#applyMutations(writes);
    for (const [key, value] of writes.localPut ?? []) {
      if (value === null) {
        this.#local.delete(key);
      } else {
        this.#local.set(key, value);
      }
    }
  }

  #applyMutations(writes: ReplicaWrites): void {
    for (const pending of writes.outboxPut ?? []) {
      this.#outbox.set(pending);
    }
    for (const clientSeq of writes.outboxDelete ?? []) {
      this.#outbox.delete(clientSeq);
    }
    for (const rejected of writes.rejectedPut ?? []) {
      this.#rejected.set(rejected.mutation.mutation_id, rejected);
    }
    for (const mutationId of writes.rejectedDelete ?? []) {
      this.#rejected.delete(mutationId);
    }
    for (const pending of writes.acknowledgedPut ?? []) {
      this.#acknowledged.set(pending);
    }
    this.#acknowledged.trim(writes.acknowledgedTrim ?? 0);
    if (writes.acknowledgedClear === true) {
      this.#acknowledged.clear();
    }
  }

  #wipe(): void {
    const all = [this.#base, this.#byValue, this.#byScope, this.#scopes, this.#outbox];
    for (const map of [...all, this.#rejected, this.#acknowledged, this.#local]) {
      map.clear();
    }
  }

  #putBase(record: BaseRecord): void {
    this.#deleteBase(record.entity, record.id);
    for (const key of indexKeys(this.#schema, record)) {
      entry(this.#byValue, key, () => new Set()).add(record.id);
    }
    const rows = entry(this.#byScope, record.scope, () => new Map());
    rows.set(`${record.entity} ${record.id}`, [record.id, record.entity, record.rv]);
    entry(this.#base, record.entity, () => new Table()).set(record);
  }

  #deleteBase(entity: string, id: string): void {
    const record = this.#base.get(entity)?.delete(id);
    if (record === undefined) {
      return;
    }
    for (const key of indexKeys(this.#schema, record)) {
      const ids = this.#byValue.get(key);
      ids?.delete(id);
      if (ids?.size === 0) {
        this.#byValue.delete(key);
      }
    }
    this.#byScope.get(record.scope)?.delete(`${entity} ${id}`);
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** A store that lives as long as the page or process, for `ClientOptions.store`. */
export function memory(): (schema: Schema) => Promise<ReplicaStore> {
  return async (schema) => new MemoryStore(schema);
}
