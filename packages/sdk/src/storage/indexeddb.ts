/**
 * A replica store in IndexedDB. One write is one transaction of the database, so a tab that dies leaves all of a step or
 * nothing of it.
 *
 * Several tabs may open one database; the last to open it owns it. Every write checks in its own transaction that nobody
 * has opened it since (the fence) and fails with `storage_locked` otherwise, so a tab that was asleep cannot write over what
 * its successor did.
 */

import type { Json } from "../json.ts";
import type { RecordKey } from "../protocol/frames.ts";
import { nameOf } from "../replica/step.ts";
import {
  appended,
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
import { blocksOf, type Head, headsOf, keyOf, recordsOf } from "./blocks.ts";
import { checkNumbers } from "./numbers.ts";
import { answerOf, endOf } from "./requests.ts";

export interface IndexedDbOptions {
  /** Name of the database. One database is one device of one person. */
  readonly name: string;
}

/** 1 and 2 had each record by itself, 1 with an index on its values, and beside them the rv of each by scope. */
const DB_VERSION = 3;
/** New records of one scope and entity from which on they make blocks. */
const BLOCK_MIN = 64;
/** The rv of what says that a record of a block is there no more. */
const GONE = -1;
/** Times a connection that the browser closed behind our back is opened anew before it counts as a failure. */
const REOPEN_ATTEMPTS = 1;

/**
 * `meta` has `replica` and `fence`. Records are in `base` by themselves, or in `blocks` with their `heads`: what a download
 * brings is written and read by hundreds, and what changes afterwards stands beside it in `base`, which counts. The others are
 * what their names say.
 */
const KEY_PATHS = {
  meta: null,
  scopes: null,
  base: ["entity", "id"],
  heads: null,
  blocks: null,
  outbox: "mutation.client_seq",
  rejected: ["mutation.client_seq", "mutation.mutation_id"],
  acknowledged: "mutation.client_seq",
  local: null,
};
const NAMES = Object.keys(KEY_PATHS) as Name[];

type Name = keyof typeof KEY_PATHS;
/** A store of the transaction under way. */
type Table = (name: Name) => IDBObjectStore;

/** Opens the database, making it when it is new, and takes it over, for `ClientOptions.store`. */
export function indexedDb(options: IndexedDbOptions): (schema: Schema) => Promise<ReplicaStore> {
  return () => IndexedDbStore.open(options);
}

export class IndexedDbStore implements ReplicaStore {
  readonly #name: string;
  #db: IDBDatabase | undefined;
  #fence = 0;
  /** All of them, as the last write left them: nobody else writes. */
  #heads: readonly Head[] = [];
  /** Of all records that are here, and of some that are here no more. Read when many are asked about or written. */
  #names: Set<string> | undefined;

  private constructor(name: string) {
    this.#name = name;
  }

  static async open({ name }: IndexedDbOptions): Promise<IndexedDbStore> {
    const store = new IndexedDbStore(name);
    await store.#run(async (db) => {
      const transaction = db.transaction(["meta", "heads"], "readwrite");
      const end = endOf(transaction);
      const meta = transaction.objectStore("meta");
      store.#fence = ((await answerOf<number | undefined>(meta.get("fence"))) ?? 0) + 1;
      meta.put(store.#fence, "fence");
      store.#heads = await answerOf<Head[]>(transaction.objectStore("heads").getAll());
      await end;
    });
    return store;
  }

  meta(): Promise<ReplicaMeta | undefined> {
    return this.#read("meta", (meta) => meta.get("replica"));
  }

  base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    return this.#run(async (db) => {
      const transaction = db.transaction(["base", "blocks"]);
      const base = transaction.objectStore("base");
      // A page of a download has thousands of keys of which none is here.
      const names = await this.#namesFor(keys, base);
      const held = keys.filter((key) => !names || names.has(nameOf(key)));
      const inBlocks = readBlocks(transaction, new Set(headsOf(this.#heads, held).values()));
      const singles = await Promise.all(held.map((key) => answerOf<BaseRecord | undefined>(base.get([...key]))));
      const found = latestOf([...(await inBlocks), ...singles]);
      return keys.map((key) => [found.get(nameOf(key))].find(isThere));
    });
  }

  baseAll(entity: string): Promise<BaseRecord[]> {
    return this.#run(async (db) => {
      const transaction = db.transaction(["base", "blocks"]);
      const inBlocks = readBlocks(
        transaction,
        this.#heads.filter((head) => head.entity === entity),
      );
      const singles = await answerOf<BaseRecord[]>(transaction.objectStore("base").getAll(prefix(entity)));
      const alone = new Set(singles.map(({ id }) => id));
      return [...(await inBlocks).filter(({ id }) => !alone.has(id)), ...singles.filter(isThere)];
    });
  }

  baseRows(scope: string): Promise<BaseRow[]> {
    return this.#run(async (db) => {
      const rows = new Map<string, BaseRow>();
      for (const head of this.#heads.filter((each) => each.scope === scope)) {
        for (const [index, id] of head.ids.entries()) {
          rows.set(nameOf([head.entity, id]), [id, head.entity, head.rvs[index] as number]);
        }
      }
      for (const record of await answerOf<BaseRecord[]>(db.transaction("base").objectStore("base").getAll())) {
        const { id, entity, rv } = record;
        if (isThere(record) && record.scope === scope) {
          rows.set(nameOf([entity, id]), [id, entity, rv]);
        } else {
          rows.delete(nameOf([entity, id]));
        }
      }
      return [...rows.values()].sort((a, b) => (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? -1 : 1));
    });
  }

  scopes(): Promise<Map<string, ScopeState>> {
    return this.#run(async (db) => {
      const scopes = db.transaction("scopes").objectStore("scopes");
      const answers = [answerOf(scopes.getAllKeys()), answerOf(scopes.getAll())] as const;
      const [keys, states] = (await Promise.all(answers)) as [string[], ScopeState[]];
      return new Map(keys.flatMap((key, index) => (states[index] === undefined ? [] : [[key, states[index]]])));
    });
  }

  outbox(first: number, limit: number): Promise<Pending[]> {
    return this.#read("outbox", (outbox) => outbox.getAll(IDBKeyRange.lowerBound(first), countOf(limit)));
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
      // Browsers write in order: what is strict brings all that was relaxed before it to the disk too.
      const durability = writes.isRepeatable ? "relaxed" : "strict";
      const transaction = db.transaction(NAMES, "readwrite", { durability });
      const end = endOf(transaction);
      const table: Table = (name) => transaction.objectStore(name);
      let heads: readonly Head[];
      let names: Set<string> | undefined;
      try {
        await this.#checkFence(table);
        // No earlier: another write may have been before this one, and its transaction has ended by now.
        names = await this.#namesFor(writes.basePut ?? [], table("base"));
        heads = await apply(table, writes, this.#heads, names);
        // Names that are gone are not sorted out one by one.
        names = writes.wipe || writes.dropScopes?.length ? undefined : names;
      } catch (error) {
        abort(transaction);
        throw error;
      }
      await end;
      [this.#heads, this.#names] = [heads, names];
      for (const { entity, id } of writes.basePut ?? []) {
        names?.add(nameOf([entity, id]));
      }
    });
  }

  async close(): Promise<void> {
    this.#db?.close();
    this.#db = undefined;
  }

  /** Names, when it is worth reading them for so many records. */
  async #namesFor({ length }: ArrayLike<unknown>, base: IDBObjectStore): Promise<Set<string> | undefined> {
    this.#names ??= length < BLOCK_MIN ? undefined : await namesOf(base, this.#heads);
    return this.#names;
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
      for (const name of NAMES.filter((each) => !db.objectStoreNames.contains(each))) {
        db.createObjectStore(name, { keyPath: KEY_PATHS[name] });
      }
      if (oldVersion > 0) {
        db.deleteObjectStore("rows");
        transaction?.objectStore("outbox").deleteIndex("touches");
      }
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

/** Returns the heads there are afterwards. */
async function apply(
  table: Table,
  writes: ReplicaWrites,
  before: readonly Head[],
  names: ReadonlySet<string> | undefined,
): Promise<readonly Head[]> {
  let heads = before;
  if (writes.wipe === true) {
    for (const name of NAMES.filter((each) => each !== "meta")) {
      table(name).clear();
    }
    heads = [];
  }
  for (const scope of writes.dropScopes ?? []) {
    heads = await dropScope(table, scope, heads);
  }
  if (writes.meta !== undefined) {
    table("meta").put(writes.meta, "replica");
  }
  for (const [scope, state] of writes.scopes ?? []) {
    table("scopes").put(state, scope);
  }
  heads = [...heads, ...putBase(table, writes.basePut ?? [], names)];
  deleteBase(table, writes.baseDelete ?? [], heads);
  await applyMutations(table, writes);
  for (const [key, value] of writes.localPut ?? []) {
    if (value === null) {
      table("local").delete(key);
    } else {
      table("local").put(value, key);
    }
  }
  return heads;
}

/** Many of which nothing is known become blocks, the others stand by themselves. Returns the heads of the new blocks. */
function putBase(table: Table, records: readonly BaseRecord[], names?: ReadonlySet<string>): Head[] {
  const heads: Head[] = [];
  const groups = new Map<string, BaseRecord[]>();
  for (const [name, record] of latestOf(records)) {
    const group = names?.has(name) ? "" : `${record.scope} ${record.entity}`;
    groups.set(group, appended(groups.get(group), record));
  }
  for (const [group, some] of groups) {
    if (group === "" || some.length < BLOCK_MIN) {
      some.forEach((record) => void table("base").put(record));
      continue;
    }
    for (const [head, text] of blocksOf(some.sort((a, b) => (a.id < b.id ? -1 : 1)))) {
      table("heads").put(head, keyOf(head));
      table("blocks").put(text, keyOf(head));
      heads.push(head);
    }
  }
  return heads;
}

/** Of all records that are here. */
async function namesOf(base: IDBObjectStore, heads: readonly Head[]): Promise<Set<string>> {
  const keys = (await answerOf(base.getAllKeys())) as unknown as RecordKey[];
  const inBlocks = heads.flatMap(({ entity, ids }) => ids.map((id): RecordKey => [entity, id]));
  return new Set([...keys, ...inBlocks].map(nameOf));
}

async function readBlocks(transaction: IDBTransaction, heads: Iterable<Head>): Promise<BaseRecord[]> {
  const blocks = transaction.objectStore("blocks");
  const read = async (head: Head): Promise<BaseRecord[]> =>
    recordsOf(head, await answerOf<string | undefined>(blocks.get(keyOf(head))));
  return (await Promise.all([...heads].map(read))).flat();
}

/** Records by name. Of several states of one the last counts: what stands by itself comes after what is in blocks. */
function latestOf(records: readonly (BaseRecord | undefined)[]): Map<string, BaseRecord> {
  const latest = new Map<string, BaseRecord>();
  for (const record of records) {
    if (record !== undefined) {
      latest.set(nameOf([record.entity, record.id]), record);
    }
  }
  return latest;
}

/** Whether a record is one, and does not say that there is none. */
function isThere(record: BaseRecord | undefined): record is BaseRecord {
  return record !== undefined && record.rv !== GONE;
}

async function dropScope(table: Table, scope: string, heads: readonly Head[]): Promise<readonly Head[]> {
  const kept = heads.filter((head) => head.scope !== scope);
  const singles = (await answerOf<BaseRecord[]>(table("base").getAll())).filter((record) => record.scope === scope);
  const keys = singles.map(({ entity, id }): RecordKey => [entity, id]);
  deleteBase(table, keys, kept);
  table("heads").delete(prefix(scope));
  table("blocks").delete(prefix(scope));
  table("scopes").delete(scope);
  return kept;
}

function deleteBase(table: Table, keys: readonly RecordKey[], heads: readonly Head[]): void {
  const inBlocks = headsOf(heads, keys);
  for (const [entity, id] of keys) {
    const scope = inBlocks.get(nameOf([entity, id]))?.scope;
    if (scope === undefined) {
      table("base").delete([entity, id]);
    } else {
      table("base").put({ entity, id, rv: GONE, scope, fields: {} });
    }
  }
}

async function applyMutations(table: Table, writes: ReplicaWrites): Promise<void> {
  for (const pending of writes.outboxPut ?? []) {
    table("outbox").put(pending);
  }
  for (const clientSeq of writes.outboxDelete ?? []) {
    table("outbox").delete(clientSeq);
  }
  for (const refused of writes.rejectedPut ?? []) {
    table("rejected").put(refused);
  }
  for (const { mutation } of writes.rejectedDelete ? await answerOf<Rejected[]>(table("rejected").getAll()) : []) {
    if (writes.rejectedDelete?.includes(mutation.mutation_id)) {
      table("rejected").delete([mutation.client_seq, mutation.mutation_id]);
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
