/**
 * A replica store over platforms that only know keys and texts: AsyncStorage of React Native, `chrome.storage` of extensions.
 *
 * They promise no more than that one key is written whole or not at all. A step touches many, so it is written to a journal
 * first; the one key that ends the journal makes the step durable, and whoever dies after it finds it there and carries it
 * out at the next opening. Reads come from an image in memory: such platforms hold megabytes, not gigabytes.
 */

import type { Json } from "../json.ts";
import type { RecordKey } from "../protocol/frames.ts";
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
import { MemoryStore } from "./memory.ts";
import { checkNumbers } from "./numbers.ts";

/** What a platform offers. Each call may fail; none need be atomic beyond a single key. */
export interface KeyValues {
  keys(): Promise<readonly string[]>;
  /** Values of those keys that exist. */
  get(keys: readonly string[]): Promise<readonly (readonly [key: string, value: string])[]>;
  set(entries: readonly (readonly [key: string, value: string])[]): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
}

export interface KeyValueOptions {
  /** Every key begins with it and a slash. One name is one device of one person. */
  readonly name: string;
  /** Characters of keys and values the store may take; beyond, a write that grows it fails with `storage_full`. */
  readonly charsMax: number;
  /** The store takes `charsLow` characters or more: say so before it is full. Called when it comes to that. */
  readonly onLow?: (chars: number) => void;
  readonly charsLow?: number;
}

/** Some platforms refuse values of more than 256 KiB; a character is at most three bytes. */
const PART_CHARS = 64 * 1024;
/** Ends the value of a key whose real value is in parts. No JSON ends so. */
const IN_PARTS = "~";
/** Keys asked for at once. */
const READ_KEYS = 500;

/** Changes of keys: their values, `null` where they go. */
type Changes = Map<string, string | null>;

export class KeyValueStore implements ReplicaStore {
  readonly #values: KeyValues;
  readonly #options: KeyValueOptions;
  #image: MemoryStore;
  /** Characters by key, of everything that is stored. */
  readonly #sizes = new Map<string, number>();
  #chars = 0;
  /** A step that is durable in the journal and not carried out yet. */
  #journaled: Changes | undefined;
  /** Parts of a journal that lie about. */
  #parts = 0;
  /** A journal failed and could not be taken back: it must be gone before anything else is written. */
  #isUnsure = false;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(values: KeyValues, options: KeyValueOptions) {
    this.#values = values;
    this.#options = options;
    this.#image = new MemoryStore();
  }

  static async open(values: KeyValues, options: KeyValueOptions): Promise<KeyValueStore> {
    if (options.name.includes("/")) {
      throw new Error(`the name of a store has no slash, \`${options.name}\` has: its keys would be another store's`);
    }
    const store = new KeyValueStore(values, options);
    await guarded(() => store.#load());
    return store;
  }

  /** Characters of keys and values the store takes now. */
  get chars(): number {
    return this.#chars;
  }

  meta(): Promise<ReplicaMeta | undefined> {
    return this.#image.meta();
  }
  base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    return this.#image.base(keys);
  }
  baseAll(entity: string): Promise<BaseRecord[]> {
    return this.#image.baseAll(entity);
  }
  baseRows(scope: string): Promise<BaseRow[]> {
    return this.#image.baseRows(scope);
  }
  scopes(): Promise<Map<string, ScopeState>> {
    return this.#image.scopes();
  }
  outbox(first: number, limit: number): Promise<Pending[]> {
    return this.#image.outbox(first, limit);
  }
  rejected(): Promise<Rejected[]> {
    return this.#image.rejected();
  }
  acknowledged(first: number): Promise<Pending[]> {
    return this.#image.acknowledged(first);
  }
  local(key: string): Promise<Json | undefined> {
    return this.#image.local(key);
  }

  write(writes: ReplicaWrites): Promise<void> {
    // One journal, so one step at a time.
    const done = this.#last.then(() => guarded(() => this.#write(writes)));
    this.#last = done.catch(() => undefined);
    return done;
  }

  async close(): Promise<void> {
    await this.#last;
  }

  async #write(writes: ReplicaWrites): Promise<void> {
    checkNumbers(writes);
    if (this.#isUnsure) {
      await this.#values.remove([this.#key("journal")]);
      this.#isUnsure = false;
    }
    await this.#carryOut();
    const changes = await this.#changesOf(writes);
    if (changes.size === 0) {
      return;
    }
    this.#checkRoom(changes);
    await this.#journal(changes);
    // From here on the step has happened, whatever becomes of its carrying out.
    this.#image.apply(writes);
    this.#count(changes);
    this.#journaled = changes;
    await this.#carryOut().catch(() => undefined);
  }

  /** Writes the journal and then the one key that makes it count. When that fails nothing has happened. */
  async #journal(changes: Changes): Promise<void> {
    const text = JSON.stringify([...changes]);
    const parts = partsOf(text).map((part, index): [string, string] => [this.#key(`part/${index}`), part]);
    this.#parts = Math.max(this.#parts, parts.length);
    // Until the end is known to be written or gone, nobody may write other parts below it.
    this.#isUnsure = true;
    try {
      await this.#values.set(parts);
      await this.#values.set([[this.#key("journal"), String(parts.length)]]);
    } catch (error) {
      // The end may have been written although the answer was lost.
      await this.#values.remove([this.#key("journal")]);
      this.#isUnsure = false;
      throw error;
    }
    this.#isUnsure = false;
  }

  /** Carries out the step in the journal, if there is one, and ends it. May be repeated. */
  async #carryOut(): Promise<void> {
    const changes = this.#journaled;
    if (changes === undefined) {
      return;
    }
    const puts = [...changes].flatMap(([key, value]): [string, string][] => (value === null ? [] : [[key, value]]));
    const gone = [...changes].flatMap(([key, value]) => (value === null ? [key] : []));
    if (puts.length > 0) {
      await this.#values.set(puts);
    }
    if (gone.length > 0) {
      await this.#values.remove(gone);
    }
    await this.#values.remove([this.#key("journal")]);
    this.#journaled = undefined;
    const parts = Array.from({ length: this.#parts }, (_, index) => this.#key(`part/${index}`));
    this.#parts = 0;
    await this.#values.remove(parts);
  }

  async #load(): Promise<void> {
    const prefix = this.#key("");
    const keys = (await this.#values.keys()).filter((key) => key.startsWith(prefix));
    const held = new Map<string, string>();
    for (let start = 0; start < keys.length; start += READ_KEYS) {
      for (const [key, value] of await this.#values.get(keys.slice(start, start + READ_KEYS))) {
        held.set(key, value);
      }
    }
    const count = Number(held.get(this.#key("journal")) ?? 0);
    const text = Array.from({ length: count }, (_, index) => held.get(this.#key(`part/${index}`)) ?? "").join("");
    const journaled: Changes = new Map(count === 0 ? [] : decoded<[string, string | null][]>(text));
    const parts = [...held.keys()].filter((key) => key.startsWith(this.#key("part/")) || key === this.#key("journal"));
    for (const part of parts) {
      held.delete(part);
    }
    for (const [key, value] of journaled) {
      if (value === null) {
        held.delete(key);
      } else {
        held.set(key, value);
      }
    }
    this.#image.apply(writesOf(held, prefix.length));
    this.#count(held);
    if (count > 0) {
      this.#journaled = journaled;
      await this.#carryOut();
    }
    await this.#values.remove(parts);
  }

  /** What a step changes, key by key, in the order of its members. */
  async #changesOf(writes: ReplicaWrites): Promise<Changes> {
    const changes: Changes = new Map();
    const removeKey = (key: string): void => {
      // What was not there and came in this step alone leaves no trace.
      if (this.#sizes.has(key)) {
        changes.set(key, null);
      } else {
        changes.delete(key);
      }
    };
    const remove = (path: string, partsFrom = 0): void => {
      for (let index = partsFrom; ; index++) {
        const key = this.#key(`more/${index}/${path}`);
        if (!this.#sizes.has(key) && !changes.has(key)) {
          break;
        }
        removeKey(key);
      }
      if (partsFrom === 0) {
        removeKey(this.#key(path));
      }
    };
    const put = (path: string, value: unknown): void => {
      const text = JSON.stringify(value);
      const parts = text.length > PART_CHARS ? partsOf(text) : [];
      for (const [index, part] of parts.entries()) {
        changes.set(this.#key(`more/${index}/${path}`), part);
      }
      remove(path, Math.max(parts.length, 1));
      // A value that fits stands alone; of one that does not its own key has the number of its parts.
      changes.set(this.#key(path), parts.length > 0 ? `${parts.length}${IN_PARTS}` : text);
      if (parts.length === 0) {
        removeKey(this.#key(`more/0/${path}`));
      }
    };
    if (writes.wipe === true) {
      const prefix = this.#key("");
      for (const key of this.#sizes.keys()) {
        if (key !== this.#key("meta")) {
          remove(key.slice(prefix.length));
        }
      }
    }
    for (const scope of writes.dropScopes ?? []) {
      for (const [id, entity] of await this.#image.baseRows(scope)) {
        remove(`base/${entity}/${id}`);
      }
      remove(`scope/${scope}`);
    }
    if (writes.meta !== undefined) {
      put("meta", writes.meta);
    }
    for (const [scope, state] of writes.scopes ?? []) {
      put(`scope/${scope}`, state);
    }
    for (const record of writes.basePut ?? []) {
      put(`base/${record.entity}/${record.id}`, record);
    }
    for (const [entity, id] of writes.baseDelete ?? []) {
      remove(`base/${entity}/${id}`);
    }
    for (const pending of writes.outboxPut ?? []) {
      put(`outbox/${pending.mutation.client_seq}`, pending);
    }
    for (const clientSeq of writes.outboxDelete ?? []) {
      remove(`outbox/${clientSeq}`);
    }
    for (const rejected of writes.rejectedPut ?? []) {
      put(`rejected/${rejected.mutation.mutation_id}`, rejected);
    }
    for (const mutationId of writes.rejectedDelete ?? []) {
      remove(`rejected/${mutationId}`);
    }
    for (const pending of writes.acknowledgedPut ?? []) {
      put(`acknowledged/${pending.mutation.client_seq}`, pending);
    }
    await this.#forgetAcknowledged(writes, changes, remove);
    for (const [key, value] of writes.localPut ?? []) {
      if (value === null) {
        remove(`local/${key}`);
      } else {
        put(`local/${key}`, value);
      }
    }
    return changes;
  }

  async #forgetAcknowledged(writes: ReplicaWrites, changes: Changes, remove: (path: string) => void): Promise<void> {
    const upto = writes.acknowledgedClear === true ? Number.POSITIVE_INFINITY : (writes.acknowledgedTrim ?? 0);
    if (upto === 0) {
      return;
    }
    const prefix = this.#key("acknowledged/");
    const written = [...changes.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    const held = (await this.#image.acknowledged(0)).map(({ mutation }) => mutation.client_seq);
    for (const clientSeq of [...held, ...written.map(Number)]) {
      if (clientSeq < upto) {
        remove(`acknowledged/${clientSeq}`);
      }
    }
  }

  /** Refuses a step that makes the store larger than it may be; one that makes it smaller always has room. */
  #checkRoom(changes: Changes): void {
    let growth = 0;
    for (const [key, value] of changes) {
      growth += (value === null ? 0 : key.length + value.length) - (this.#sizes.get(key) ?? 0);
    }
    if (growth > 0 && this.#chars + growth > this.#options.charsMax) {
      const message = `the local store may take ${this.#options.charsMax} characters and is full: sync, or free some space`;
      throw new StoreError("storage_full", message);
    }
  }

  #count(changes: ReadonlyMap<string, string | null>): void {
    const before = this.#chars;
    for (const [key, value] of changes) {
      this.#chars -= this.#sizes.get(key) ?? 0;
      this.#sizes.delete(key);
      if (value !== null) {
        this.#sizes.set(key, key.length + value.length);
        this.#chars += key.length + value.length;
      }
    }
    const { charsLow = Number.POSITIVE_INFINITY, onLow } = this.#options;
    if (before < charsLow && this.#chars >= charsLow) {
      onLow?.(this.#chars);
    }
  }

  #key(path: string): string {
    return `${this.#options.name}/${path}`;
  }
}

/** One step that fills an image with what is stored. `skip`: length of what every key begins with. */
function writesOf(held: ReadonlyMap<string, string>, skip: number): ReplicaWrites {
  const whole = (key: string, value: string): string => {
    const count = value.endsWith(IN_PARTS) ? Number(value.slice(0, -IN_PARTS.length)) : 0;
    const [name, path] = [key.slice(0, skip), key.slice(skip)];
    const parts = Array.from({ length: count }, (_, index) => held.get(`${name}more/${index}/${path}`) ?? "");
    return count > 0 ? parts.join("") : value;
  };
  const of = <T>(kind: string): (readonly [path: string, value: T])[] =>
    [...held]
      .filter(([key]) => key.startsWith(kind, skip))
      .map(([key, value]) => [key.slice(skip + kind.length), decoded<T>(whole(key, value))]);
  const values = <T>(kind: string): T[] => of<T>(kind).map(([, value]) => value);
  const [meta] = values<ReplicaMeta>("meta");
  return {
    ...(meta !== undefined && { meta }),
    scopes: of<ScopeState>("scope/"),
    basePut: values<BaseRecord>("base/"),
    outboxPut: values<Pending>("outbox/"),
    rejectedPut: values<Rejected>("rejected/"),
    acknowledgedPut: values<Pending>("acknowledged/"),
    localPut: of<Json>("local/"),
  };
}

/** No part ends within a character: platforms that keep texts as UTF-8 would not give half of one back. */
function partsOf(text: string): string[] {
  const parts: string[] = [];
  for (let from = 0; from < text.length; from += parts.at(-1)?.length ?? 0) {
    const part = text.slice(from, from + PART_CHARS);
    parts.push(/[\ud800-\udbff]$/.test(part) ? part.slice(0, -1) : part);
  }
  return parts;
}

function decoded<T>(text: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (error) {
    throw new StoreError("corrupt_local", "the local store is damaged", { cause: error });
  }
}

/** How platforms say that there is no room: Chromium, SQLite on Android, the file system on iOS. */
const FULL = /quota|full|no space|ENOSPC|exceed/i;

/** What a platform refuses is a failure of the store. */
async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError || error instanceof TypeError) {
      throw error;
    }
    const code = FULL.test(String(error)) ? "storage_full" : "corrupt_local";
    throw new StoreError(code, `the local store failed: ${String(error)}`, { cause: error });
  }
}
