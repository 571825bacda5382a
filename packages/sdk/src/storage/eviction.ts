/**
 * Browsers delete the databases of pages that were not visited for long, or when they need the room. A mark outside of the
 * database tells an empty one that is new from one that was deleted, and how much went with it.
 */

import type { ReplicaStore } from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";

/** Where the mark is kept; `localStorage` is one. */
export interface Marks {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
}

export interface EvictionOptions {
  /** Names the store among all that have marks. */
  readonly name: string;
  /**
   * The store was deleted with so many mutations that the server had not decided. Signing in makes a new device of it, which
   * loads everything again.
   */
  readonly onEvicted: (lost: { readonly pending: number }) => void;
  /** `localStorage`, when not given. */
  readonly marks?: Marks;
}

type Opener = (schema: Schema) => Promise<ReplicaStore>;

/** Watches a store for its deletion: `noticeEviction(indexedDb({ name: "crm" }), { name: "crm", onEvicted })`. */
export function noticeEviction(open: Opener, options: EvictionOptions): Opener {
  const key = `syncline ${options.name}`;
  return async (schema) => {
    const store = await open(schema);
    const mark = safely(() => (options.marks ?? localStorage).getItem(key)) ?? null;
    if (mark !== null && (await store.meta()) === undefined) {
      options.onEvicted({ pending: Number(mark) });
    }
    const write = store.write.bind(store);
    store.write = async (writes) => {
      await write(writes);
      if (writes.meta !== undefined) {
        const pending = String(writes.meta.nextClientSeq - 1 - writes.meta.decidedUpto);
        safely(() => (options.marks ?? localStorage).setItem(key, pending));
      }
    };
    return store;
  };
}

/** Browsers refuse `localStorage` where cookies are, or when it is full: then there is no mark, and everything else works. */
function safely<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch {
    return undefined;
  }
}
