/** AsyncStorage of React Native as a replica store. */

import type { ReplicaStore } from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";
import { type KeyValueOptions, KeyValueStore, type KeyValues } from "./keyvalue.ts";

/** What is used of `@react-native-async-storage/async-storage`. */
export interface AsyncStorage {
  getAllKeys(): Promise<readonly string[]>;
  multiGet(keys: readonly string[]): Promise<readonly (readonly [string, string | null])[]>;
  multiSet(entries: [string, string][]): Promise<void>;
  multiRemove(keys: readonly string[]): Promise<void>;
}

/** Characters Android gives a program unless it asks for more. */
export const ASYNC_STORAGE_CHARS_MAX = 6 * 1024 * 1024;

/** Characters from which on a program is told that the room gets scarce. */
export const ASYNC_STORAGE_CHARS_LOW = 4 * 1024 * 1024;

/** For `ClientOptions.store`. */
export function asyncStorage(
  storage: AsyncStorage,
  options: Pick<KeyValueOptions, "name"> & Partial<KeyValueOptions>,
): (schema: Schema) => Promise<ReplicaStore> {
  const values: KeyValues = {
    keys: () => storage.getAllKeys(),
    get: async (keys) =>
      (await storage.multiGet(keys)).flatMap(([key, value]) => (value === null ? [] : [[key, value] as const])),
    set: (entries) => storage.multiSet(entries.map(([key, value]) => [key, value])),
    remove: (keys) => storage.multiRemove(keys),
  };
  return () =>
    KeyValueStore.open(values, { charsMax: ASYNC_STORAGE_CHARS_MAX, charsLow: ASYNC_STORAGE_CHARS_LOW, ...options });
}
