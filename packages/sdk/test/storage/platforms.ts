/** Key-value platforms as they promise to be: one key is written whole or not at all, and nothing more. */

import type { AsyncStorage } from "../../src/storage/asyncstorage.ts";
import type { StorageArea } from "../../src/storage/chrome.ts";

/** What goes wrong, counted in keys that are written or removed. */
export interface Fault {
  /** Calls fail at these keys; a key to be written is written all the same when `isAnswerLost`. */
  readonly failsAt?: readonly number[];
  readonly isAnswerLost?: boolean;
  /** From this key on nothing works, as in a process that was killed. */
  readonly diesAt?: number;
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
      if (value.length > 256 * 1024) {
        throw new Error("a value of more than 256 KiB");
      }
      this.#touch(() => this.#held.set(key, value), this.#fault?.isAnswerLost);
    }
  }

  async multiRemove(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      this.#touch(() => this.#held.delete(key));
    }
  }

  #touch(work: () => void, isAnswerLost = false): void {
    this.keysTouched += 1;
    const isDead = this.keysTouched >= (this.#fault?.diesAt ?? Number.POSITIVE_INFINITY);
    const fails = this.#fault?.failsAt?.includes(this.keysTouched) === true;
    if (!isDead && (!fails || isAnswerLost)) {
      work();
    }
    if (isDead || fails) {
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
