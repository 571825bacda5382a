/**
 * A replica store in IndexedDB. One write is one transaction of the database, so a tab that dies leaves all of a step or
 * nothing of it.
 *
 * Several tabs may open one database; the last to open it owns it. Every write checks in its own transaction that nobody
 * has opened it since (the fence) and fails with `storage_locked` otherwise, so a tab that was asleep cannot write over what
 * its successor did.
 */

import { holds, type Json } from "../json.ts";
import type { RecordKey } from "../protocol/frames.ts";
import { nameOf } from "../replica/step.ts";
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
import { blocksOf, firstBlocks, type Head, keyOf, type Place, placesOf, recordsOf } from "./blocks.ts";
import { checkNumbers, requireIndex } from "./keys.ts";
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
const NAMES = ["meta", "scopes", "base", "heads", "blocks", "outbox", "rejected", "acknowledged", "local"] as const;

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
  /** All of them, as the last write left them: nobody else writes. */
  #heads: readonly Head[] = [];

  private constructor(name: string, schema: Schema) {
    this.#name = name;
    this.#schema = schema;
  }

  static async open({ name }: IndexedDbOptions, schema: Schema): Promise<IndexedDbStore> {
    const store = new IndexedDbStore(name, schema);
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
      const found = await readBase(transaction.objectStore("base"), keys);
      const places = new Map<Head, [string, Place][]>();
      for (const [entity, ids] of byEntity(keys.filter((key) => !found.has(nameOf(key))))) {
        for (const [id, place] of placesOf(this.#heads, entity, ids)) {
          const named = [nameOf([entity, id]), place] as [string, Place];
          places.set(place.head, [...(places.get(place.head) ?? []), named]);
        }
      }
      const blocks = transaction.objectStore("blocks");
      const read = async ([head, named]: [Head, [string, Place][]]): Promise<void> => {
        const records = recordsOf(head, await answerOf(blocks.get(keyOf(head))));
        for (const [name, { index }] of named) {
          found.set(name, records[index]);
        }
      };
      await Promise.all([...places].map(read));
      return keys.map((key) => thereOrNot(found.get(nameOf(key))));
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
    const found: BaseRecord[] = [];
    // The text after another one is the same with the least character behind it.
    let from: string | undefined = after === undefined ? "" : `${after}\0`;
    while (from !== undefined && found.length < limit) {
      const { blocks, before } = firstBlocks(this.#heads, entity, from, limit - found.length);
      found.push(...(await this.#scan(entity, from, before, blocks)));
      from = before;
    }
    return found.slice(0, limit);
  }

  /** Records from the id `from` on and, if that is given, before another, in order. `blocks`: those that hold any of them. */
  #scan(entity: string, from: string, before: string | undefined, blocks: readonly Head[]): Promise<BaseRecord[]> {
    return this.#run(async (db) => {
      const transaction = db.transaction(["base", "blocks"]);
      const range = IDBKeyRange.bound([entity, from], [entity, before ?? []], false, true);
      const [singles, ...texts] = await Promise.all([
        answerOf<BaseRecord[]>(transaction.objectStore("base").getAll(range)),
        ...blocks.map((head) => answerOf<string | undefined>(transaction.objectStore("blocks").get(keyOf(head)))),
      ]);
      const held = new Map(singles.map((record) => [record.id, record]));
      for (const [index, head] of blocks.entries()) {
        for (const record of recordsOf(head, texts[index])) {
          const { id } = record;
          if (id >= from && (before === undefined || id < before) && !held.has(id)) {
            held.set(id, record);
          }
        }
      }
      return [...held.values()].filter(thereOrNot).sort((a, b) => (a.id < b.id ? -1 : 1));
    });
  }

  /** Reads them all. */
  async baseCount(entity: string): Promise<number> {
    return (await this.baseScan(entity, undefined, Number.POSITIVE_INFINITY)).length;
  }

  baseRows(scope: string): Promise<BaseRow[]> {
    return this.#run(async (db) => {
      const base = db.transaction("base").objectStore("base");
      const [singles, keys] = await Promise.all([
        answerOf<BaseRecord[]>(base.index("scope").getAll(scope)),
        keysOf(base.getAllKeys()),
      ]);
      const byThemselves = new Set(keys.map(nameOf));
      const rows = singles.filter(thereOrNot).map(({ id, entity, rv }): BaseRow => [id, entity, rv]);
      for (const { entity, ids, rvs } of this.#heads.filter((head) => head.scope === scope)) {
        for (const [index, id] of ids.entries()) {
          if (!byThemselves.has(nameOf([entity, id]))) {
            rows.push([id, entity, rvs[index] ?? 0]);
          }
        }
      }
      return rows.sort((a, b) => (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? -1 : 1));
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

  outboxCount(): Promise<number> {
    return this.#read("outbox", (outbox) => outbox.count());
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
      let heads: readonly Head[];
      try {
        await this.#checkFence(table);
        // No earlier: another write may have been before this one, and its transaction has ended by now.
        heads = await apply(table, writes, this.#heads);
      } catch (error) {
        abort(transaction);
        throw error;
      }
      await end;
      this.#heads = heads;
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
      const made = (name: Name): IDBObjectStore => transaction?.objectStore(name) as IDBObjectStore;
      if (oldVersion > 0) {
        db.deleteObjectStore("rows");
        made("outbox").deleteIndex("touches");
      }
      if (oldVersion === 1) {
        made("base").deleteIndex("keys");
      }
      const tables: Readonly<Record<Name, string | string[] | undefined>> = {
        meta: undefined,
        scopes: undefined,
        base: ["entity", "id"],
        heads: undefined,
        blocks: undefined,
        outbox: "mutation.client_seq",
        rejected: ["mutation.client_seq", "mutation.mutation_id"],
        acknowledged: "mutation.client_seq",
        local: undefined,
      };
      for (const name of NAMES.filter((each) => !db.objectStoreNames.contains(each))) {
        db.createObjectStore(name, { keyPath: tables[name] ?? null });
      }
      made("base").createIndex("scope", "scope");
      if (oldVersion === 0) {
        made("rejected").createIndex("mutation", "mutation.mutation_id");
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
async function apply(table: Table, writes: ReplicaWrites, before: readonly Head[]): Promise<readonly Head[]> {
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
  heads = await putBase(table, writes.basePut ?? [], heads);
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

/** Many that are new become blocks, the others stand by themselves. */
async function putBase(table: Table, records: readonly BaseRecord[], heads: readonly Head[]): Promise<readonly Head[]> {
  const groups = new Map<string, BaseRecord[]>();
  // Of several states of a record the last one counts.
  for (const record of new Map(records.map((each) => [nameOf([each.entity, each.id]), each])).values()) {
    const name = `${record.scope} ${record.entity}`;
    const group = groups.get(name);
    if (group === undefined) {
      groups.set(name, [record]);
    } else {
      group.push(record);
    }
  }
  const after = [...heads];
  for (const group of groups.values()) {
    const fresh = group.length < BLOCK_MIN ? [] : await freshOf(table, group, heads);
    const isFresh = new Set(fresh.length < BLOCK_MIN ? [] : fresh);
    for (const record of group) {
      if (!isFresh.has(record)) {
        table("base").put(record);
      }
    }
    for (const [head, text] of blocksOf([...isFresh])) {
      table("heads").put(head, keyOf(head));
      table("blocks").put(text, keyOf(head));
      after.push(head);
    }
  }
  return after;
}

/** Those of records of one entity that nothing is known of, in order. */
async function freshOf(table: Table, group: readonly BaseRecord[], heads: readonly Head[]): Promise<BaseRecord[]> {
  const sorted = [...group].sort((a, b) => (a.id < b.id ? -1 : 1));
  const [entity, ids] = [sorted[0]?.entity ?? "", sorted.map(({ id }) => id)];
  const places = placesOf(heads, entity, ids);
  const range = IDBKeyRange.bound([entity, ids[0]], [entity, ids.at(-1)]);
  const keys = await keysOf(table("base").getAllKeys(range));
  const byThemselves = new Set(keys.map(([, id]) => id));
  return sorted.filter(({ id }) => !places.has(id) && !byThemselves.has(id));
}

/**
 * What stands by itself of these keys, by name. A page of a download has thousands of keys of which none does: one request for
 * the range they span says so. When others lie between them, each is asked for.
 */
async function readBase(
  store: IDBObjectStore,
  keys: readonly RecordKey[],
): Promise<Map<string, BaseRecord | undefined>> {
  const found = new Map<string, BaseRecord | undefined>();
  for (const [entity, named] of byEntity(keys)) {
    const ids = named.sort();
    const range = IDBKeyRange.bound([entity, ids[0]], [entity, ids.at(-1)]);
    let held = await answerOf<(BaseRecord | undefined)[]>(store.getAll(range, ids.length + 1));
    if (held.length > ids.length) {
      held = await Promise.all(ids.map((id) => answerOf<BaseRecord | undefined>(store.get([entity, id]))));
    }
    for (const record of held) {
      if (record !== undefined) {
        found.set(nameOf([entity, record.id]), record);
      }
    }
  }
  return found;
}

/** Keys of `base`. */
function keysOf(request: IDBRequest<IDBValidKey[]>): Promise<RecordKey[]> {
  return answerOf(request) as unknown as Promise<RecordKey[]>;
}

function byEntity(keys: readonly RecordKey[]): Map<string, string[]> {
  const ids = new Map<string, string[]>();
  for (const [entity, id] of keys) {
    const held = ids.get(entity);
    if (held === undefined) {
      ids.set(entity, [id]);
    } else {
      held.push(id);
    }
  }
  return ids;
}

/** The record, unless it says that there is none. */
function thereOrNot(record: BaseRecord | undefined): BaseRecord | undefined {
  return record?.rv === GONE ? undefined : record;
}

async function dropScope(table: Table, scope: string, heads: readonly Head[]): Promise<readonly Head[]> {
  const kept = heads.filter((head) => head.scope !== scope);
  const keys = await keysOf(table("base").index("scope").getAllKeys(scope));
  deleteBase(table, keys, kept);
  table("heads").delete(prefix(scope));
  table("blocks").delete(prefix(scope));
  table("scopes").delete(scope);
  return kept;
}

function deleteBase(table: Table, keys: readonly RecordKey[], heads: readonly Head[]): void {
  for (const [entity, ids] of byEntity(keys)) {
    const places = placesOf(heads, entity, ids);
    for (const id of ids) {
      const scope = places.get(id)?.head.scope;
      if (scope === undefined) {
        table("base").delete([entity, id]);
      } else {
        table("base").put({ entity, id, rv: GONE, scope, fields: {} });
      }
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
