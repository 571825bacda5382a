/**
 * A replica store in IndexedDB. One write is one transaction of the database, so a tab that dies leaves all of a step or
 * nothing of it.
 *
 * Several tabs may open one database; the last to open it owns it. Every write checks in its own transaction that nobody
 * has opened it since (the fence) and fails with `storage_locked` otherwise, so a tab that was asleep cannot write over what
 * its successor did.
 */

import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB, unwrap } from "idb";
import { holds, type Json } from "../json.ts";
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
import { checkNumbers, requireIndex } from "./keys.ts";

export interface IndexedDbOptions {
  /** Name of the database. One database is one device of one person. */
  readonly name: string;
}

/** 1 had an index on the values of base records, and the keys of it in each of them. */
const DB_VERSION = 2;
/** Times a connection that the browser closed behind our back is opened anew before it counts as a failure. */
const REOPEN_ATTEMPTS = 1;

type StoredBase = BaseRecord & { readonly keys?: readonly string[] };
type StoredPending = Pending & { readonly touches: readonly string[] };

interface Tables extends DBSchema {
  /** `replica` and `fence`. */
  meta: { key: string; value: ReplicaMeta | number };
  scopes: { key: string; value: ScopeState };
  base: { key: [string, string]; value: StoredBase };
  /** rv of each base record by scope, id and entity: what comparing a scope reads. */
  rows: { key: [string, string, string]; value: number };
  outbox: { key: number; value: StoredPending; indexes: { touches: string } };
  rejected: { key: [number, string]; value: Rejected; indexes: { mutation: string } };
  acknowledged: { key: number; value: Pending };
  local: { key: string; value: Json };
}

type Name = "meta" | "scopes" | "base" | "rows" | "outbox" | "rejected" | "acknowledged" | "local";
/** A store of the transaction under way. */
type Table = (name: Name) => IDBObjectStore;
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
      const held = await readBase(db.transaction("base").store, keys);
      return held.map((record) => record && withoutKeys(record));
    });
  }

  /** Reads the records of the entity: an index would cost every download more than all questions that reach the disk. */
  async baseFind(entity: string, field: string, value: Json, limit: number): Promise<string[]> {
    requireIndex(this.#schema, entity, field);
    const all = await this.baseScan(entity, undefined, Number.POSITIVE_INFINITY);
    const found = all.filter(({ fields }) => value !== null && holds(fields, field, value));
    return found.slice(0, limit).map(({ id }) => id);
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
      // Rows of a download the server can give again: a power cut may take the last of them, whole steps from the end. What
      // moves the cursor or holds an edit is on disk when it is written.
      const isLoaded = writes.basePut && !(writes.meta ?? writes.outboxPut ?? writes.localPut);
      const transaction = db.transaction(NAMES, "readwrite", { durability: isLoaded ? "relaxed" : "strict" });
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
    // Without a promise for each request: there are thousands, and one that fails ends the transaction.
    const raw = unwrap(transaction) as IDBTransaction;
    const table = (name: Name): IDBObjectStore => raw.objectStore(name);
    if (writes.wipe === true) {
      for (const name of NAMES.filter((each) => each !== "meta")) {
        table(name).clear();
      }
    }
    for (const scope of writes.dropScopes ?? []) {
      await dropScope(transaction, table, scope);
    }
    if (writes.meta !== undefined) {
      table("meta").put(writes.meta, "replica");
    }
    for (const [scope, state] of writes.scopes ?? []) {
      table("scopes").put(state, scope);
    }
    await this.#putBase(transaction, table, writes.basePut ?? []);
    await deleteBase(transaction, table, writes.baseDelete ?? []);
    await applyMutations(transaction, table, writes);
    for (const [key, value] of writes.localPut ?? []) {
      if (value === null) {
        table("local").delete(key);
      } else {
        table("local").put(value, key);
      }
    }
  }

  async #putBase(transaction: Writing, table: Table, records: readonly BaseRecord[]): Promise<void> {
    const keys = records.map(({ entity, id }): RecordKey => [entity, id]);
    const held = await readBase(transaction.objectStore("base"), keys);
    const [base, rows] = [table("base"), table("rows")];
    const scopeOf = new Map<string, string>();
    for (const [index, record] of records.entries()) {
      const name = `${record.entity} ${record.id}`;
      const former = scopeOf.get(name) ?? held[index]?.scope;
      if (former !== undefined && former !== record.scope) {
        rows.delete([former, record.id, record.entity]);
      }
      scopeOf.set(name, record.scope);
      base.put(record);
      rows.put(record.rv, [record.scope, record.id, record.entity]);
    }
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
      upgrade(db, before, _, transaction) {
        if (before === 1) {
          (unwrap(transaction) as IDBTransaction).objectStore("base").deleteIndex("keys");
          return;
        }
        db.createObjectStore("meta");
        db.createObjectStore("scopes");
        db.createObjectStore("base", { keyPath: ["entity", "id"] });
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

/**
 * Base records of these keys, in their order. A page of a download has thousands of keys of which none is there: one request
 * for the range they span says so. When others lie between them, each is asked for.
 */
async function readBase(store: BaseReads, keys: readonly RecordKey[]): Promise<(StoredBase | undefined)[]> {
  const found = new Map<string, StoredBase>();
  for (const entity of new Set(keys.map(([name]) => name))) {
    const ids = keys.flatMap(([name, id]) => (name === entity ? [id] : [])).sort();
    const range = IDBKeyRange.bound([entity, ids[0]], [entity, ids.at(-1)]);
    let held: (StoredBase | undefined)[] = await store.getAll(range, ids.length + 1);
    if (held.length > ids.length) {
      held = await Promise.all(ids.map((id) => store.get([entity, id])));
    }
    for (const record of held) {
      if (record !== undefined) {
        found.set(`${entity} ${record.id}`, record);
      }
    }
  }
  return keys.map((key) => found.get(key.join(" ")));
}

interface BaseReads {
  get(key: [string, string]): Promise<StoredBase | undefined>;
  getAll(range: IDBKeyRange, count: number): Promise<StoredBase[]>;
}

async function dropScope(transaction: Writing, table: Table, scope: string): Promise<void> {
  for (const [, id, entity] of await transaction.objectStore("rows").getAllKeys(prefix(scope))) {
    table("base").delete([entity, id]);
  }
  table("rows").delete(prefix(scope));
  table("scopes").delete(scope);
}

async function deleteBase(transaction: Writing, table: Table, keys: readonly RecordKey[]): Promise<void> {
  for (const held of await readBase(transaction.objectStore("base"), keys)) {
    if (held !== undefined) {
      table("base").delete([held.entity, held.id]);
      table("rows").delete([held.scope, held.id, held.entity]);
    }
  }
}

async function applyMutations(transaction: Writing, table: Table, writes: ReplicaWrites): Promise<void> {
  for (const pending of writes.outboxPut ?? []) {
    const touches = pending.mutation.ops.map((op) => targetOf(op).join(" "));
    table("outbox").put({ ...pending, touches: [...new Set(touches)] });
  }
  for (const clientSeq of writes.outboxDelete ?? []) {
    table("outbox").delete(clientSeq);
  }
  for (const refused of writes.rejectedPut ?? []) {
    table("rejected").put(refused);
  }
  for (const mutationId of writes.rejectedDelete ?? []) {
    const found = await transaction.objectStore("rejected").index("mutation").getAllKeys(mutationId);
    for (const key of found) {
      table("rejected").delete(key);
    }
  }
  for (const pending of writes.acknowledgedPut ?? []) {
    table("acknowledged").put(pending);
  }
  if (writes.acknowledgedTrim !== undefined) {
    table("acknowledged").delete(IDBKeyRange.upperBound(writes.acknowledgedTrim, true));
  }
  if (writes.acknowledgedClear === true) {
    table("acknowledged").clear();
  }
}

function withoutKeys(stored: StoredBase): BaseRecord {
  const { keys, ...record } = stored;
  return keys === undefined ? stored : record;
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
