/**
 * Room on the device: a browser gives a page so much and no more, and deletes the stores of pages it thinks nobody needs.
 * What a full store can do without is let go here; what the person wrote never is.
 */

import type { ReplicaStore } from "../replica/store.ts";
import { StoreError } from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";

/** How much is used of what there is; bytes, as the browser estimates them. */
export interface Room {
  readonly usage: number;
  readonly quota: number;
}

export interface QuotaOptions {
  /** Most of the room is used: say so before edits fail. Called when it comes to that, and again after it was better. */
  readonly onLow: (room: Room) => void;
  /** Share of the room that counts as most of it; 0.8 when not given. */
  readonly lowShare?: number;
  /** `navigator.storage`, when not given. */
  readonly storage?: Pick<StorageManager, "estimate" | "persist">;
}

const LOW_SHARE = 0.8;
/** Writes between two looks at the room: an estimate costs a browser more than a small write. */
const WRITES_PER_LOOK = 200;

type Opener = (schema: Schema) => Promise<ReplicaStore>;

/**
 * Watches a store's room: `watchQuota(indexedDb({ name: "crm" }), { onLow })`. Asks the browser to keep the store as soon as
 * it is somebody's. A write for which there is no room is tried once more without the mutations that the server has long
 * taken: they are kept for a server that was restored from a backup, and nothing else needs them.
 */
export function watchQuota(open: Opener, options: QuotaOptions): Opener {
  const storage = options.storage ?? globalThis.navigator?.storage;
  return async (schema) => {
    const store = await open(schema);
    let isKept = false;
    let isLow = false;
    let untilLook = 0;
    const look = async (): Promise<void> => {
      const { usage = 0, quota = 0 } = await storage.estimate();
      const wasLow = isLow;
      isLow = quota > 0 && usage >= quota * (options.lowShare ?? LOW_SHARE);
      if (isLow && !wasLow) {
        options.onLow({ usage, quota });
      }
    };
    // A browser that does not say how much room there is has nothing to warn of.
    const lookSafely = (): void => void look().catch(() => undefined);
    const keep = (): void => {
      isKept = true;
      void storage?.persist?.().catch(() => false);
    };
    if ((await store.meta()) !== undefined) {
      keep();
    }
    const write = store.write.bind(store);
    store.write = async (writes) => {
      try {
        await write(writes);
      } catch (error) {
        const isFull = error instanceof StoreError && error.code === "storage_full";
        if (!isFull || (await store.acknowledged(0)).length === 0) {
          throw error;
        }
        await write({ acknowledgedClear: true });
        await write(writes);
      }
      if (writes.meta !== undefined && !isKept) {
        keep();
      }
      untilLook -= 1;
      if (storage?.estimate !== undefined && untilLook < 0) {
        untilLook = WRITES_PER_LOOK;
        lookSafely();
      }
    };
    return store;
  };
}
