/** Key-value platforms as they promise to be: one key is written whole or not at all, and nothing more. */

import type { AsyncStorage } from "../../src/storage/asyncstorage.ts";
import type { StorageArea } from "../../src/storage/chrome.ts";

/** Fails at the n-th key it writes or removes. `dies`: from then on nothing works, as in a process that was killed. */
export interface Fault {
  readonly atKey: number;
  readonly dies: boolean;
}

export class FakeAsyncStorage implements AsyncStorage {
  readonly #held: Map<string, string>;
  readonly #fault: Fault | undefined;
  keysTouched = 0;

  constructor(held: Map<string, string> = new Map(), fault?: Fault) {
    this.#held = held;
    this.#fault = fault;
  }

  async getAllKeys(): Promise<readonly string[]> {
    return [...this.#held.keys()];
  }

  async multiGet(keys: readonly string[]): Promise<readonly (readonly [string, string | null])[]> {
    return keys.map((key) => [key, this.#held.get(key) ?? null]);
  }

  async multiSet(entries: [string, string][]): Promise<void> {
    for (const [key, value] of entries) {
      this.#touch();
      if (value.length > 256 * 1024) {
        throw new Error("a value of more than 256 KiB");
      }
      this.#held.set(key, value);
    }
  }

  async multiRemove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.#touch();
      this.#held.delete(key);
    }
  }

  #touch(): void {
    this.keysTouched += 1;
    if (this.#fault === undefined) {
      return;
    }
    const { atKey, dies } = this.#fault;
    if (dies ? this.keysTouched >= atKey : this.keysTouched === atKey) {
      throw new Error("the platform failed");
    }
  }
}

export class FakeStorageArea implements StorageArea {
  readonly #held = new Map<string, unknown>();

  async get(keys: string[] | null): Promise<{ [key: string]: unknown }> {
    return Object.fromEntries([...this.#held].filter(([key]) => keys === null || keys.includes(key)));
  }

  async set(items: { [key: string]: unknown }): Promise<void> {
    for (const [key, value] of Object.entries(items)) {
      this.#held.set(key, structuredClone(value));
    }
  }

  async remove(keys: string[]): Promise<void> {
    for (const key of keys) {
      this.#held.delete(key);
    }
  }
}
