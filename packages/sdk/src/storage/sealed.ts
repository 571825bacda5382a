/**
 * A store that seals what is personal before another store sees it: values of `sensitive` fields, in the base and in
 * mutations, and everything of the device alone (tokens, drafts). AES-256-GCM of the platform, a fresh 96-bit nonce each
 * time, bound to where it stands, so that no sealed value can be put in another's place.
 *
 * What is not sealed: names of entities and fields, ids, scopes, and values of other fields.
 */

import { type Fields, type Json, member, objectOf } from "../json.ts";
import type { Mutation, Op, RecordKey } from "../protocol/frames.ts";
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

/** A field of this name holds the sealed ones; no declared field begins so. */
const SEALED = "$sealed";
const NONCE_BYTES = 12;
/** Records opened at once. */
const OPENED_AT_ONCE = 2_000;
/** Arguments of one call that every engine takes. */
const ARGUMENTS_MAX = 8_192;

type Opener = (schema: Schema) => Promise<ReplicaStore>;

/** Seals a store: `sealed(indexedDb({ name: "crm" }), await deviceKey("crm"))`. `key`: AES-GCM, to encrypt and decrypt. */
export function sealed(open: Opener, key: CryptoKey): Opener {
  return async (schema) => new SealedStore(await open(schema), schema, key);
}

class SealedStore implements ReplicaStore {
  readonly #inner: ReplicaStore;
  readonly #schema: Schema;
  readonly #key: CryptoKey;

  constructor(inner: ReplicaStore, schema: Schema, key: CryptoKey) {
    this.#inner = inner;
    this.#schema = schema;
    this.#key = key;
  }

  meta(): Promise<ReplicaMeta | undefined> {
    return this.#inner.meta();
  }

  async base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]> {
    const held = await this.#inner.base(keys);
    return held.some((record) => record && isSealed(record))
      ? Promise.all(held.map((record) => record && this.#openRecord(record)))
      : held;
  }

  async baseAll(entity: string): Promise<BaseRecord[]> {
    const all = await this.#inner.baseAll(entity);
    const opened = all.filter((record) => !isSealed(record));
    const hidden = all.filter(isSealed);
    for (let from = 0; from < hidden.length; from += OPENED_AT_ONCE) {
      const some = hidden.slice(from, from + OPENED_AT_ONCE).map((record) => this.#openRecord(record));
      opened.push(...(await Promise.all(some)));
    }
    return opened;
  }

  baseRows(scope: string): Promise<BaseRow[]> {
    return this.#inner.baseRows(scope);
  }
  scopes(): Promise<Map<string, ScopeState>> {
    return this.#inner.scopes();
  }

  async outbox(first: number, limit: number): Promise<Pending[]> {
    return this.#openAll(await this.#inner.outbox(first, limit));
  }
  async rejected(): Promise<Rejected[]> {
    return this.#openAll(await this.#inner.rejected());
  }
  async acknowledged(first: number): Promise<Pending[]> {
    return this.#openAll(await this.#inner.acknowledged(first));
  }

  async local(key: string): Promise<Json | undefined> {
    const held = await this.#inner.local(key);
    return held === undefined ? undefined : this.#unseal(held, `local ${key}`);
  }

  async write(writes: ReplicaWrites): Promise<void> {
    const { basePut, outboxPut, rejectedPut, acknowledgedPut, localPut } = writes;
    await this.#inner.write({
      ...writes,
      ...(basePut && { basePut: await this.#sealRecords(basePut) }),
      ...(outboxPut && { outboxPut: await this.#sealAll(outboxPut) }),
      ...(rejectedPut && { rejectedPut: await this.#sealAll(rejectedPut) }),
      ...(acknowledgedPut && { acknowledgedPut: await this.#sealAll(acknowledgedPut) }),
      ...(localPut && {
        localPut: await Promise.all(
          localPut.map(
            async ([key, value]) => [key, value === null ? null : await this.#seal(value, `local ${key}`)] as const,
          ),
        ),
      }),
    });
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #isSensitive(entity: string, field: string): boolean {
    return this.#schema.entities.get(entity)?.fields.get(field)?.isSensitive === true;
  }

  async #sealRecords(records: readonly BaseRecord[]): Promise<readonly BaseRecord[]> {
    const entities = new Set(records.map(({ entity }) => entity));
    const hiding = new Set([...entities].filter((name) => this.#hidesSome(name)));
    // Downloads bring thousands of which nothing is personal.
    return hiding.size === 0
      ? records
      : Promise.all(records.map((record) => (hiding.has(record.entity) ? this.#sealRecord(record) : record)));
  }

  #hidesSome(entity: string): boolean {
    const fields = this.#schema.entities.get(entity)?.fields.values() ?? [];
    return [...fields].some(({ isSensitive }) => isSensitive);
  }

  async #sealRecord(record: BaseRecord): Promise<BaseRecord> {
    const isHidden = (name: string): boolean => this.#isSensitive(record.entity, name);
    return { ...record, fields: await this.#sealFields(record.fields, isHidden, placeOf(record)) };
  }

  async #openRecord(record: BaseRecord): Promise<BaseRecord> {
    return { ...record, fields: await this.#openFields(record.fields, placeOf(record)) };
  }

  #sealAll<T extends { readonly mutation: Mutation }>(all: readonly T[]): Promise<T[]> {
    return this.#eachOp(all, (op, fields, place) => {
      // A resolution may hold any field of any entity.
      const isHidden = (name: string): boolean => op.op === "resolve" || this.#isSensitive(op.entity, name);
      return this.#sealFields(fields, isHidden, place);
    });
  }

  #openAll<T extends { readonly mutation: Mutation }>(all: readonly T[]): Promise<T[]> {
    return this.#eachOp(all, (_, fields, place) => this.#openFields(fields, place));
  }

  /** The same mutations with the fields of their ops changed. */
  #eachOp<T extends { readonly mutation: Mutation }>(
    all: readonly T[],
    change: (op: Op, fields: Fields, place: string) => Promise<Fields>,
  ): Promise<T[]> {
    return Promise.all(
      all.map(async (held) => {
        const { mutation } = held;
        const ops = mutation.ops.map(async (op, index): Promise<Op> => {
          const fields = op.op === "delete" ? undefined : op.fields;
          const place = `mutation ${mutation.mutation_id} ${index}`;
          return fields === undefined ? op : ({ ...op, fields: await change(op, fields, place) } as Op);
        });
        return { ...held, mutation: { ...mutation, ops: await Promise.all(ops) } };
      }),
    );
  }

  async #sealFields(fields: Fields, isHidden: (name: string) => boolean, place: string): Promise<Fields> {
    const all = Object.entries(fields);
    const hidden = all.filter(([name]) => isHidden(name));
    if (hidden.length === 0) {
      return fields;
    }
    const open = all.filter(([name]) => !isHidden(name));
    return objectOf([...open, [SEALED, await this.#seal(objectOf(hidden), place)]]);
  }

  async #openFields(fields: Fields, place: string): Promise<Fields> {
    if (!isSealed({ fields })) {
      return fields;
    }
    const hidden = (await this.#unseal(member(fields, SEALED), place)) as Fields;
    const open = Object.entries(fields).filter(([name]) => name !== SEALED);
    return objectOf([...open, ...Object.entries(hidden)]);
  }

  async #seal(value: Json, place: string): Promise<Json> {
    const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
    const additionalData = new TextEncoder().encode(place);
    const text = new TextEncoder().encode(JSON.stringify(value));
    const bytes = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, this.#key, text));
    return `${toBase64(iv)}.${toBase64(bytes)}`;
  }

  async #unseal(value: Json, place: string): Promise<Json> {
    try {
      const [iv, bytes] = String(value).split(".").map(fromBase64);
      const additionalData = new TextEncoder().encode(place);
      const algorithm = { name: "AES-GCM", iv: iv ?? new Uint8Array(), additionalData };
      const text = await crypto.subtle.decrypt(algorithm, this.#key, bytes ?? new Uint8Array());
      return JSON.parse(new TextDecoder().decode(text)) as Json;
    } catch (error) {
      const message = "what is stored does not open with this key: sign in again on an empty store to load it anew";
      throw new StoreError("corrupt_local", message, { cause: error });
    }
  }
}

/** Whether some of the values are sealed. */
function isSealed({ fields }: { readonly fields: Fields }): boolean {
  return Object.hasOwn(fields, SEALED);
}

/** Where the values of a record stand: an older state of it is another place. */
function placeOf({ entity, id, rv }: BaseRecord): string {
  return `base ${entity} ${id} ${rv}`;
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += ARGUMENTS_MAX) {
    text += String.fromCharCode(...bytes.subarray(from, from + ARGUMENTS_MAX));
  }
  return btoa(text);
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let index = 0; index < characters.length; index++) {
    bytes[index] = characters.charCodeAt(index);
  }
  return bytes;
}
