/**
 * A replica store in IndexedDB. One write is one transaction of the database, so a tab that dies leaves all of a step or
 * nothing of it.
 *
 * Several tabs may open one database; the last to open it owns it. Every write checks in its own transaction that nobody
 * has opened it since (the fence) and fails with `storage_locked` otherwise, so a tab that was asleep cannot write over what
 * its successor did.
 */

import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import type { Json } from "../json.ts";
import { type RecordKey, targetOf } from "../protocol/frames.ts";
import {
  type BaseRecord,
  type BaseRow,
  type Pending,
  type Rejected,
  type ReplicaMeta,
  type ReplicaStore,
  type ReplicaWrites,
  type ScopeState,
  StoreError,
} from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";
import { checkNumbers, indexKeys, requireIndex, valueKey } from "./keys.ts";

export interface IndexedDbOptions {
  /** Name of the database. One database is one device of one person. */
  readonly name: string;
}

const DB_VERSION = 1;
/** Times a connection that the browser closed behind our back is opened anew before it counts as a failure. */
const REOPEN_ATTEMPTS = 1;

type StoredBase = BaseRecord & { readonly keys: readonly string[] };
type StoredPending = Pending & { readonly touches: readonly string[] };

interface Tables extends DBSchema {
  /** `replica` and `fence`. */
  meta: { key: string; value: ReplicaMeta | number };
  scopes: { key: string; value: ScopeState };
  base: { key: [string, string]; value: StoredBase; indexes: { keys: string } };
  /** rv of each base record by scope, id and entity: what comparing a scope reads. */
  rows: { key: [string, string, string]; value: number };
  outbox: { key: number; value: StoredPending; indexes: { touches: string } };
  rejected: { key: [number, string]; value: Rejected; indexes: { mutation: string } };
  acknowledged: { key: number; value: Pending };
  local: { key: string; value: Json };
}

type Name = "meta" | "scopes" | "base" | "rows" | "outbox" | "rejected" | "acknowledged" | "local";
type Writing = IDBPTransaction<Tables, Name[], "readwrite">;

const NAMES: Name[] = ["meta", "scopes", "base", "rows", "outbox", "rejected", "acknowledged", "local"];

/** Opens the database, making it when it is new, and takes it over, for `ClientOptions.store`. */
export function indexedDb(options: IndexedDbOptions): (schema: Schema) => Promise<ReplicaStore> {
  return (schema) => IndexedDbStore.open(options, schema);
}

export class IndexedDbStore implements ReplicaStore {
  readonly #name: string;
  readonly #schema: Schema;
  #db: IDBPDatabase<Tables> | undefined;
  #fence = 0;

  private constructor(name: string, schema: Schema) {
    this.#name = name;
    this.#schema = schema;
  }

  static async open({ name }: IndexedDbOptions, schema: Schema): Promise<IndexedDbStore> {
    const store = new IndexedDbStore(name, schema);
    await store.#run(async (db) => {
      const transaction = db.transaction("meta", "readwrite");
      const held = await transaction.store.get("fence");
      store.#fence = (typeof held === "number" ? held : 0) + 1;
      await transaction.store.put(store.#fence, "fence");
      await transaction.done;
    });
    return store;
  }

  meta(): Promise<ReplicaMeta | undefined> {
    return this.#run(async (db) => (await db.get("meta", "replica")) as ReplicaMeta | undefined);
  }

  base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    return this.#run(async (db) => {
      const { store } = db.transaction("base");
      const held = await Promise.all(keys.map(([entity, id]) => store.get([entity, id])));
      return held.map((record) => record && withoutKeys(record));
    });
  }

  baseFind(entity: string, field: string, value: Json, limit: number): Promise<string[]> {
    return this.#run(async (db) => {
      requireIndex(this.#schema, entity, field);
      const key = IDBKeyRange.only(valueKey(entity, field, value));
      const found = await db.getAllKeysFromIndex("base", "keys", key, countOf(limit));
      return found.map(([, id]) => id);
    });
  }

  baseScan(entity: string, after: string | undefined, limit: number): Promise<BaseRecord[]> {
    return this.#run(async (db) => {
      const lower = after === undefined ? [entity] : [entity, after];
      const range = IDBKeyRange.bound(lower, [entity, []], true, true);
      return (await db.getAll("base", range, countOf(limit))).map(withoutKeys);
    });
  }

  baseCount(entity: string): Promise<number> {
    return this.#run((db) => db.count("base", prefix(entity)));
  }

  baseRows(scope: string): Promise<BaseRow[]> {
    return this.#run(async (db) => {
      const { store } = db.transaction("rows");
      const [keys, rvs] = await Promise.all([store.getAllKeys(prefix(scope)), store.getAll(prefix(scope))]);
      return keys.map(([, id, entity], index): BaseRow => [id, entity, rvs[index] ?? 0]);
    });
  }

  scopes(): Promise<Map<string, ScopeState>> {
    return this.#run(async (db) => {
      const { store } = db.transaction("scopes");
      const [keys, states] = await Promise.all([store.getAllKeys(), store.getAll()]);
      return new Map(keys.flatMap((key, index) => (states[index] === undefined ? [] : [[key, states[index]]])));
    });
  }

  outbox(first: number, limit: number): Promise<Pending[]> {
    return this.#run(async (db) =>
      (await db.getAll("outbox", IDBKeyRange.lowerBound(first), countOf(limit))).map(withoutTouches),
    );
  }

  outboxCount(): Promise<number> {
    return this.#run((db) => db.count("outbox"));
  }

  pendingFor(entity: string, id: string): Promise<Pending[]> {
    return this.#run(async (db) =>
      (await db.getAllFromIndex("outbox", "touches", `${entity} ${id}`)).map(withoutTouches),
    );
  }

  pendingIds(entity: string): Promise<string[]> {
    return this.#run(async (db) => {
      const ids: string[] = [];
      // The character after the space ends the range.
      const range = IDBKeyRange.bound(`${entity} `, `${entity}!`, false, true);
      const index = db.transaction("outbox").store.index("touches");
      for (let cursor = await index.openKeyCursor(range, "nextunique"); cursor; cursor = await cursor.continue()) {
        ids.push(cursor.key.slice(entity.length + 1));
      }
      return ids;
    });
  }

  rejected(): Promise<Rejected[]> {
    return this.#run((db) => db.getAll("rejected"));
  }

  acknowledged(first: number): Promise<Pending[]> {
    return this.#run((db) => db.getAll("acknowledged", IDBKeyRange.lowerBound(first)));
  }

  local(key: string): Promise<Json | undefined> {
    return this.#run((db) => db.get("local", key));
  }

  async write(writes: ReplicaWrites): Promise<void> {
    checkNumbers(writes);
    await this.#run(async (db) => {
      const transaction = db.transaction(NAMES, "readwrite", { durability: "strict" });
      try {
        await this.#checkFence(transaction);
        await this.#apply(transaction, writes);
      } catch (error) {
        abort(transaction);
        throw error;
      }
      await transaction.done;
    });
  }

  async close(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
  }

  async #checkFence(transaction: Writing): Promise<void> {
    const held = await transaction.objectStore("meta").get("fence");
    if (held === undefined) {
      throw new StoreError("storage_evicted", "the browser deleted the local store: sign in again to load everything");
    }
    if (held !== this.#fence) {
      throw new StoreError("storage_locked", "another tab has taken over the local store");
    }
  }

  async #apply(transaction: Writing, writes: ReplicaWrites): Promise<void> {
    const requests = new Requests();
    const meta = transaction.objectStore("meta");
    const scopes = transaction.objectStore("scopes");
    if (writes.wipe === true) {
      requests.add(...NAMES.filter((name) => name !== "meta").map((name) => transaction.objectStore(name).clear()));
    }
    for (const scope of writes.dropScopes ?? []) {
      await dropScope(transaction, scope);
    }
    if (writes.meta !== undefined) {
      requests.add(meta.put(writes.meta, "replica"));
    }
    for (const [scope, state] of writes.scopes ?? []) {
      requests.add(scopes.put(state, scope));
    }
    await this.#putBase(transaction, writes.basePut ?? []);
    await deleteBase(transaction, writes.baseDelete ?? []);
    applyMutations(transaction, writes, requests);
    const local = transaction.objectStore("local");
    for (const [key, value] of writes.localPut ?? []) {
      requests.add(value === null ? local.delete(key) : local.put(value, key));
    }
    await requests.done();
  }

  async #putBase(transaction: Writing, records: readonly BaseRecord[]): Promise<void> {
    const [base, rows] = [transaction.objectStore("base"), transaction.objectStore("rows")];
    const held = await Promise.all(records.map(({ entity, id }) => base.get([entity, id])));
    const requests = new Requests();
    const scopeOf = new Map<string, string>();
    for (const [index, record] of records.entries()) {
      const name = `${record.entity} ${record.id}`;
      const former = scopeOf.get(name) ?? held[index]?.scope;
      if (former !== undefined && former !== record.scope) {
        requests.add(rows.delete([former, record.id, record.entity]));
      }
      scopeOf.set(name, record.scope);
      requests.add(base.put({ ...record, keys: indexKeys(this.#schema, record) }));
      requests.add(rows.put(record.rv, [record.scope, record.id, record.entity]));
    }
    await requests.done();
  }

  /** Runs a task on an open database. Browsers close connections by themselves: then it is opened anew, once. */
  async #run<T>(task: (db: IDBPDatabase<Tables>) => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      try {
        this.#db ??= await this.#connect();
        return await task(this.#db);
      } catch (error) {
        const isClosed = error instanceof DOMException && error.name === "InvalidStateError";
        if (!isClosed || attempt >= REOPEN_ATTEMPTS) {
          throw storeError(error);
        }
        this.#db = undefined;
      }
    }
  }

  #connect(): Promise<IDBPDatabase<Tables>> {
    return openDB<Tables>(this.#name, DB_VERSION, {
      upgrade(db) {
        db.createObjectStore("meta");
        db.createObjectStore("scopes");
        db.createObjectStore("base", { keyPath: ["entity", "id"] }).createIndex("keys", "keys", { multiEntry: true });
        db.createObjectStore("rows");
        const outbox = db.createObjectStore("outbox", { keyPath: "mutation.client_seq" });
        outbox.createIndex("touches", "touches", { multiEntry: true });
        const rejected = db.createObjectStore("rejected", {
          keyPath: ["mutation.client_seq", "mutation.mutation_id"],
        });
        rejected.createIndex("mutation", "mutation.mutation_id");
        db.createObjectStore("acknowledged", { keyPath: "mutation.client_seq" });
        db.createObjectStore("local");
      },
      // A tab with a newer version of the program waits for this one to let go.
      blocking: () => void this.close(),
      terminated: () => {
        this.#db = undefined;
      },
    });
  }
}

/** Requests of a transaction under way. When one fails, all fail, and nobody need hear it from each. */
class Requests {
  readonly #all: Promise<unknown>[] = [];

  add(...requests: readonly Promise<unknown>[]): void {
    for (const request of requests) {
      request.catch(() => undefined);
      this.#all.push(request);
    }
  }

  async done(): Promise<void> {
    await Promise.all(this.#all);
  }
}

async function dropScope(transaction: Writing, scope: string): Promise<void> {
  const rows = transaction.objectStore("rows");
  const keys = await rows.getAllKeys(prefix(scope));
  const base = transaction.objectStore("base");
  await Promise.all([
    ...keys.map(([, id, entity]) => base.delete([entity, id])),
    rows.delete(prefix(scope)),
    transaction.objectStore("scopes").delete(scope),
  ]);
}

async function deleteBase(transaction: Writing, keys: readonly RecordKey[]): Promise<void> {
  const [base, rows] = [transaction.objectStore("base"), transaction.objectStore("rows")];
  const held = await Promise.all(keys.map(([entity, id]) => base.get([entity, id])));
  const there = held.filter((record) => record !== undefined);
  await Promise.all(
    there.flatMap(({ entity, id, scope }) => [base.delete([entity, id]), rows.delete([scope, id, entity])]),
  );
}

function applyMutations(transaction: Writing, writes: ReplicaWrites, requests: Requests): void {
  const outbox = transaction.objectStore("outbox");
  for (const pending of writes.outboxPut ?? []) {
    const touches = pending.mutation.ops.map((op) => targetOf(op).join(" "));
    requests.add(outbox.put({ ...pending, touches: [...new Set(touches)] }));
  }
  for (const clientSeq of writes.outboxDelete ?? []) {
    requests.add(outbox.delete(clientSeq));
  }
  const rejected = transaction.objectStore("rejected");
  for (const refused of writes.rejectedPut ?? []) {
    requests.add(rejected.put(refused));
  }
  for (const mutationId of writes.rejectedDelete ?? []) {
    const found = rejected.index("mutation").getAllKeys(mutationId);
    requests.add(found.then((keys) => Promise.all(keys.map((key) => rejected.delete(key)))));
  }
  const acknowledged = transaction.objectStore("acknowledged");
  for (const pending of writes.acknowledgedPut ?? []) {
    requests.add(acknowledged.put(pending));
  }
  if (writes.acknowledgedTrim !== undefined) {
    requests.add(acknowledged.delete(IDBKeyRange.upperBound(writes.acknowledgedTrim, true)));
  }
  if (writes.acknowledgedClear === true) {
    requests.add(acknowledged.clear());
  }
}

function withoutKeys({ keys: _, ...record }: StoredBase): BaseRecord {
  return record;
}

function withoutTouches({ touches: _, ...pending }: StoredPending): Pending {
  return pending;
}

/** All keys that are arrays beginning with `first`. */
function prefix(first: string): IDBKeyRange {
  // Arrays come after texts: the empty one is beyond every second element.
  return IDBKeyRange.bound([first], [first, []]);
}

/** IndexedDB counts in 32 bits; beyond means all. */
function countOf(limit: number): number | undefined {
  return limit < 2 ** 31 ? limit : undefined;
}

function abort(transaction: Writing): void {
  // The transaction says that it was aborted; what matters is why, and that is thrown.
  transaction.done.catch(() => undefined);
  try {
    transaction.abort();
  } catch {
    // It ended by itself, for the reason that is thrown.
  }
}

/** What the database refuses is a failure of the store; anything else is a bug and stays what it is. */
function storeError(error: unknown): unknown {
  if (!(error instanceof DOMException)) {
    return error;
  }
  return error.name === "QuotaExceededError"
    ? new StoreError("storage_full", "the browser has no room left: free some space, nothing was lost", {
        cause: error,
      })
    : new StoreError("corrupt_local", `the local store failed: ${error.message}`, { cause: error });
}
