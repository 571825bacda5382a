/** A replica store in memory: for tests, for pages that need not outlive themselves, and as the image of key-value stores. */

import { compareText, type Json } from "../json.ts";
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
import { checkNumbers } from "./numbers.ts";

export class MemoryStore implements ReplicaStore {
  #meta: ReplicaMeta | undefined;
  readonly #base = new Map<string, Map<string, BaseRecord>>();
  readonly #byScope = new Map<string, Map<string, BaseRow>>();
  readonly #scopes = new Map<string, ScopeState>();
  readonly #outbox = new Outbox();
  readonly #rejected = new Map<string, Rejected>();
  readonly #acknowledged = new Outbox();
  readonly #local = new Map<string, Json>();

  async meta(): Promise<ReplicaMeta | undefined> {
    return this.#meta;
  }

  async base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    return keys.map(([entity, id]) => this.#base.get(entity)?.get(id));
  }

  async baseAll(entity: string): Promise<BaseRecord[]> {
    return [...(this.#base.get(entity)?.values() ?? [])];
  }

  async baseRows(scope: string): Promise<BaseRow[]> {
    const rows = [...(this.#byScope.get(scope)?.values() ?? [])];
    return rows.sort((a, b) => compareText(a[0], b[0]) || compareText(a[1], b[1]));
  }

  async scopes(): Promise<Map<string, ScopeState>> {
    return new Map([...this.#scopes].sort(([a], [b]) => compareText(a, b)));
  }

  async outbox(first: number, limit: number): Promise<Pending[]> {
    return this.#outbox.from(first, limit);
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
    for (const { mutation } of [...this.#acknowledged.all()]) {
      if (mutation.client_seq >= (writes.acknowledgedTrim ?? 0)) {
        break;
      }
      this.#acknowledged.delete(mutation.client_seq);
    }
    if (writes.acknowledgedClear === true) {
      this.#acknowledged.clear();
    }
  }

  #wipe(): void {
    const all = [this.#base, this.#byScope, this.#scopes, this.#outbox];
    for (const map of [...all, this.#rejected, this.#acknowledged, this.#local]) {
      map.clear();
    }
  }

  #putBase(record: BaseRecord): void {
    this.#deleteBase(record.entity, record.id);
    const rows = entry(this.#byScope, record.scope, () => new Map());
    rows.set(`${record.entity} ${record.id}`, [record.id, record.entity, record.rv]);
    entry(this.#base, record.entity, () => new Map()).set(record.id, record);
  }

  #deleteBase(entity: string, id: string): void {
    const records = this.#base.get(entity);
    const scope = records?.get(id)?.scope;
    if (scope !== undefined) {
      records?.delete(id);
      this.#byScope.get(scope)?.delete(`${entity} ${id}`);
    }
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
  return async () => new MemoryStore();
}
