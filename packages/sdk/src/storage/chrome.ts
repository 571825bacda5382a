/** `chrome.storage.local` of browser extensions as a replica store. */

import type { ReplicaStore } from "../replica/store.ts";
import type { Schema } from "../schema/schema.ts";
import { type KeyValueOptions, KeyValueStore, type KeyValues } from "./keyvalue.ts";

/** What is used of a `chrome.storage.StorageArea`. */
export interface StorageArea {
  get(keys: string[] | null): Promise<{ [key: string]: unknown }>;
  set(items: { [key: string]: unknown }): Promise<void>;
  remove(keys: string[]): Promise<void>;
}

/** Characters of `chrome.storage.local` without the permission `unlimitedStorage`. */
export const CHROME_STORAGE_CHARS_MAX = 10 * 1024 * 1024;

/** For `ClientOptions.store`: `chromeStorage(chrome.storage.local, { name: "crm" })`. */
export function chromeStorage(
  area: StorageArea,
  options: Pick<KeyValueOptions, "name"> & Partial<KeyValueOptions>,
): (schema: Schema) => Promise<ReplicaStore> {
  const values: KeyValues = {
    keys: async () => Object.keys(await area.get(null)),
    get: async (keys) =>
      Object.entries(await area.get([...keys])).flatMap(([key, value]) =>
        typeof value === "string" ? [[key, value] as const] : [],
      ),
    set: (entries) => area.set(Object.fromEntries(entries)),
    remove: (keys) => area.remove([...keys]),
  };
  return () => KeyValueStore.open(values, { charsMax: CHROME_STORAGE_CHARS_MAX, ...options });
}
