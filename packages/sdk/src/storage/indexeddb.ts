/**
 * A replica store in IndexedDB. One write is one transaction of the database, so a tab that dies leaves all of a step or
 * nothing of it.
 *
 * Several tabs may open one database; the last to open it owns it. Every write checks in its own transaction that nobody
 * has opened it since (the fence) and fails with `storage_locked` otherwise, so a tab that was asleep cannot write over what
 * its successor did.
 */

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
import { answerOf, endOf } from "./requests.ts";

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

/**
 * `meta` has `replica` and `fence`; `rows` the rv of each base record by scope, id and entity, which is what comparing a
 * scope reads; the others are what their names say.
 */
const NAMES = ["meta", "scopes", "base", "rows", "outbox", "rejected", "acknowledged", "local"] as const;

type Name = (typeof NAMES)[number];
/** A store of the transaction under way. */
type Table = (name: Name) => IDBObjectStore;

/** Opens the database, making it when it is new, and takes it over, for `ClientOptions.store`. */
export function indexedDb(options: IndexedDbOptions): (schema: Schema) => Promise<ReplicaStore> {
  return (schema) => IndexedDbStore.open(options, schema);
}

export class IndexedDbStore implements ReplicaStore {
  readonly #name: string;
  readonly #schema: Schema;
  #db: IDBDatabase | undefined;
  #fence = 0;

  private constructor(name: string, schema: Schema) {
    this.#name = name;
    this.#schema = schema;
  }

  static async open({ name }: IndexedDbOptions, schema: Schema): Promise<IndexedDbStore> {
    const store = new IndexedDbStore(name, schema);
    await store.#run(async (db) => {
      const transaction = db.transaction("meta", "readwrite");
      const end = endOf(transaction);
      const meta = transaction.objectStore("meta");
      store.#fence = ((await answerOf<number | undefined>(meta.get("fence"))) ?? 0) + 1;
      meta.put(store.#fence, "fence");
      await end;
    });
    return store;
  }

  meta(): Promise<ReplicaMeta | undefined> {
    return this.#read("meta", (meta) => meta.get("replica"));
  }

  base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    return this.#run(async (db) => {
      const held = await readBase(db.transaction("base").objectStore("base"), keys);
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

  async baseScan(entity: string, after: string | undefined, limit: number): Promise<BaseRecord[]> {
    const lower = after === undefined ? [entity] : [entity, after];
    const range = IDBKeyRange.bound(lower, [entity, []], true, true);
    return (await this.#read<StoredBase[]>("base", (base) => base.getAll(range, countOf(limit)))).map(withoutKeys);
  }

  baseCount(entity: string): Promise<number> {
    return this.#read("base", (base) => base.count(prefix(entity)));
  }

  baseRows(scope: string): Promise<BaseRow[]> {
    return this.#run(async (db) => {
      const [keys, rvs] = await entriesOf<[string, string, string], number>(db, "rows", prefix(scope));
      return keys.map(([, id, entity], index): BaseRow => [id, entity, rvs[index] ?? 0]);
    });
  }

  scopes(): Promise<Map<string, ScopeState>> {
    return this.#run(async (db) => {
      const [keys, states] = await entriesOf<string, ScopeState>(db, "scopes");
      return new Map(keys.flatMap((key, index) => (states[index] === undefined ? [] : [[key, states[index]]])));
    });
  }

  async outbox(first: number, limit: number): Promise<Pending[]> {
    const range = IDBKeyRange.lowerBound(first);
    return (await this.#read<StoredPending[]>("outbox", (outbox) => outbox.getAll(range, countOf(limit)))).map(
      withoutTouches,
    );
  }

  outboxCount(): Promise<number> {
    return this.#read("outbox", (outbox) => outbox.count());
  }

  async pendingFor(entity: string, id: string): Promise<Pending[]> {
    const found = this.#read<StoredPending[]>("outbox", (outbox) => outbox.index("touches").getAll(`${entity} ${id}`));
    return (await found).map(withoutTouches);
  }

  pendingIds(entity: string): Promise<string[]> {
    return this.#run(async (db) => {
      const ids: string[] = [];
      // The character after the space ends the range.
      const range = IDBKeyRange.bound(`${entity} `, `${entity}!`, false, true);
      const request = db
        .transaction("outbox")
        .objectStore("outbox")
        .index("touches")
        .openKeyCursor(range, "nextunique");
      for (let cursor = await answerOf(request); cursor; cursor = await answerOf(request)) {
        ids.push(String(cursor.key).slice(entity.length + 1));
        cursor.continue();
      }
      return ids;
    });
  }

  rejected(): Promise<Rejected[]> {
    return this.#read("rejected", (rejected) => rejected.getAll());
  }

  acknowledged(first: number): Promise<Pending[]> {
    return this.#read("acknowledged", (acknowledged) => acknowledged.getAll(IDBKeyRange.lowerBound(first)));
  }

  local(key: string): Promise<Json | undefined> {
    return this.#read("local", (local) => local.get(key));
  }

  async write(writes: ReplicaWrites): Promise<void> {
    checkNumbers(writes);
    await this.#run(async (db) => {
      // Rows of a download the server can give again: a power cut may take the last of them, whole steps from the end. What
      // moves the cursor or holds an edit is on disk when it is written.
      const isLoaded = writes.basePut && !(writes.meta ?? writes.outboxPut ?? writes.localPut);
      const transaction = db.transaction(NAMES, "readwrite", { durability: isLoaded ? "relaxed" : "strict" });
      const end = endOf(transaction);
      const table: Table = (name) => transaction.objectStore(name);
      try {
        await this.#checkFence(table);
        await apply(table, writes);
      } catch (error) {
        abort(transaction);
        throw error;
      }
      await end;
    });
  }

  async close(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
  }

  async #checkFence(table: Table): Promise<void> {
    const held = await answerOf<number | undefined>(table("meta").get("fence"));
    if (held === undefined) {
      throw new StoreError("storage_evicted", "the browser deleted the local store: sign in again to load everything");
    }
    if (held !== this.#fence) {
      throw new StoreError("storage_locked", "another tab has taken over the local store");
    }
  }

  #read<T>(name: Name, ask: (store: IDBObjectStore) => IDBRequest): Promise<T> {
    return this.#run((db) => answerOf<T>(ask(db.transaction(name).objectStore(name))));
  }

  /** Runs a task on an open database. Browsers close connections by themselves: then it is opened anew, once. */
  async #run<T>(task: (db: IDBDatabase) => Promise<T>): Promise<T> {
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

  async #connect(): Promise<IDBDatabase> {
    const request = indexedDB.open(this.#name, DB_VERSION);
    request.onupgradeneeded = ({ oldVersion }) => {
      const { result: db, transaction } = request;
      if (oldVersion === 1) {
        transaction?.objectStore("base").deleteIndex("keys");
        return;
      }
      const tables: Readonly<Record<Name, string | string[] | undefined>> = {
        meta: undefined,
        scopes: undefined,
        base: ["entity", "id"],
        rows: undefined,
        outbox: "mutation.client_seq",
        rejected: ["mutation.client_seq", "mutation.mutation_id"],
        acknowledged: "mutation.client_seq",
        local: undefined,
      };
      const made = NAMES.map((name) => db.createObjectStore(name, { keyPath: tables[name] ?? null }));
      made[NAMES.indexOf("outbox")]?.createIndex("touches", "touches", { multiEntry: true });
      made[NAMES.indexOf("rejected")]?.createIndex("mutation", "mutation.mutation_id");
    };
    const db = await answerOf(request);
    // A tab with a newer version of the program waits for this one to let go.
    db.onversionchange = () => void this.close();
    db.onclose = () => {
      this.#db = undefined;
    };
    return db;
  }
}

async function apply(table: Table, writes: ReplicaWrites): Promise<void> {
  if (writes.wipe === true) {
    for (const name of NAMES.filter((each) => each !== "meta")) {
      table(name).clear();
    }
  }
  for (const scope of writes.dropScopes ?? []) {
    await dropScope(table, scope);
  }
  if (writes.meta !== undefined) {
    table("meta").put(writes.meta, "replica");
  }
  for (const [scope, state] of writes.scopes ?? []) {
    table("scopes").put(state, scope);
  }
  await putBase(table, writes.basePut ?? []);
  await deleteBase(table, writes.baseDelete ?? []);
  await applyMutations(table, writes);
  for (const [key, value] of writes.localPut ?? []) {
    if (value === null) {
      table("local").delete(key);
    } else {
      table("local").put(value, key);
    }
  }
}

async function putBase(table: Table, records: readonly BaseRecord[]): Promise<void> {
  const keys = records.map(({ entity, id }): RecordKey => [entity, id]);
  const [base, rows] = [table("base"), table("rows")];
  const held = await readBase(base, keys);
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

/**
 * Base records of these keys, in their order. A page of a download has thousands of keys of which none is there: one request
 * for the range they span says so. When others lie between them, each is asked for.
 */
async function readBase(store: IDBObjectStore, keys: readonly RecordKey[]): Promise<(StoredBase | undefined)[]> {
  const found = new Map<string, StoredBase>();
  for (const entity of new Set(keys.map(([name]) => name))) {
    const ids = keys.flatMap(([name, id]) => (name === entity ? [id] : [])).sort();
    const range = IDBKeyRange.bound([entity, ids[0]], [entity, ids.at(-1)]);
    let held = await answerOf<(StoredBase | undefined)[]>(store.getAll(range, ids.length + 1));
    if (held.length > ids.length) {
      held = await Promise.all(ids.map((id) => answerOf<StoredBase | undefined>(store.get([entity, id]))));
    }
    for (const record of held) {
      if (record !== undefined) {
        found.set(`${entity} ${record.id}`, record);
      }
    }
  }
  return keys.map((key) => found.get(key.join(" ")));
}

/** Keys and values of a range, or of everything, read at one moment. */
function entriesOf<K, V>(db: IDBDatabase, name: Name, range?: IDBKeyRange): Promise<[K[], V[]]> {
  const store = db.transaction(name).objectStore(name);
  return Promise.all([answerOf(store.getAllKeys(range)), answerOf(store.getAll(range))]) as Promise<[never, never]>;
}

async function dropScope(table: Table, scope: string): Promise<void> {
  const keys = (await answerOf(table("rows").getAllKeys(prefix(scope)))) as [string, string, string][];
  for (const [, id, entity] of keys) {
    table("base").delete([entity, id]);
  }
  table("rows").delete(prefix(scope));
  table("scopes").delete(scope);
}

async function deleteBase(table: Table, keys: readonly RecordKey[]): Promise<void> {
  for (const held of await readBase(table("base"), keys)) {
    if (held !== undefined) {
      table("base").delete([held.entity, held.id]);
      table("rows").delete([held.scope, held.id, held.entity]);
    }
  }
}

async function applyMutations(table: Table, writes: ReplicaWrites): Promise<void> {
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
    for (const key of await answerOf(table("rejected").index("mutation").getAllKeys(mutationId))) {
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

function abort(transaction: IDBTransaction): void {
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
