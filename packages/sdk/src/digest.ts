/** Order-independent digests: equal sets of `(entity, id, rv)` give equal digests on every implementation (spec §12). */

import { idBytes } from "./ids.ts";

/** A digest as it stands on the wire and in stores: the sum is 16 hex digits because it exceeds 2^53. */
export interface Digest {
  readonly count: number;
  readonly sum: string;
}

export const EMPTY_DIGEST: Digest = { count: 0, sum: "0000000000000000" };

export function digestEquals(a: Digest, b: Digest): boolean {
  return a.count === b.count && a.sum === b.sum;
}

/** A digest under way. Adding and removing are O(1) and commute. */
export class DigestSum {
  #count: number;
  #sum: bigint;

  constructor(start: Digest = EMPTY_DIGEST) {
    this.#count = start.count;
    this.#sum = BigInt(`0x${start.sum}`);
  }

  add(entity: string, id: string, rv: number): void {
    this.#count += 1;
    this.#sum = BigInt.asUintN(64, this.#sum + recordHash(entity, id, rv));
  }

  /** Takes out a record that was added before with the same `rv`. */
  remove(entity: string, id: string, rv: number): void {
    this.#count -= 1;
    this.#sum = BigInt.asUintN(64, this.#sum - recordHash(entity, id, rv));
  }

  value(): Digest {
    return { count: this.#count, sum: this.#sum.toString(16).padStart(16, "0") };
  }
}

/**
 * The 64-bit hash of one live record (spec DIG-2): FNV-1a over `entity ‖ 0x00 ‖ id ‖ rv`, then MurmurHash3's finaliser.
 * The loop runs on two 32-bit halves: big integers would cost ten times as much per byte.
 */
export function recordHash(entity: string, id: string, rv: number): bigint {
  let [high, low] = [0xcbf29ce4, 0x84222325];
  const feed = (byte: number): void => {
    low = (low ^ byte) >>> 0;
    // The prime is 2^40 + 0x1b3.
    const product = low * 0x1b3;
    high = (high * 0x1b3 + Math.floor(product / 2 ** 32) + ((low << 8) >>> 0)) >>> 0;
    low = product >>> 0;
  };
  new TextEncoder().encode(entity).forEach(feed);
  feed(0);
  idBytes(id).forEach(feed);
  for (let shift = 7; shift >= 0; shift--) {
    feed(Math.floor(rv / 2 ** (8 * shift)) % 256);
  }
  let hash = (BigInt(high) << 32n) | BigInt(low);
  hash ^= hash >> 33n;
  hash = BigInt.asUintN(64, hash * 0xff51afd7ed558ccdn);
  hash ^= hash >> 33n;
  hash = BigInt.asUintN(64, hash * 0xc4ceb9fe1a85ec53n);
  return hash ^ (hash >> 33n);
}
