/** Mutations in memory: in order, and by the records they touch. */

import { type RecordKey, targetOf } from "../protocol/frames.ts";
import { nameOf } from "./step.ts";
import { appended, type Pending } from "./store.ts";

export class Outbox {
  #bySeq = new Map<number, Pending>();
  /** New mutations mostly come last: then nothing has to be put in order. */
  #isOrdered = true;
  #last = 0;
  /** By the name of a record; made anew when it is asked for after a change. */
  #touching: Map<string, Pending[]> | undefined;

  get size(): number {
    return this.#bySeq.size;
  }

  get(clientSeq: number): Pending | undefined {
    return this.#bySeq.get(clientSeq);
  }

  /** Inserts or replaces by `client_seq`. */
  set(pending: Pending): void {
    const clientSeq = pending.mutation.client_seq;
    this.#isOrdered &&= this.#bySeq.has(clientSeq) || clientSeq > this.#last;
    this.#last = Math.max(this.#last, clientSeq);
    this.#bySeq.set(clientSeq, pending);
    this.#touching = undefined;
  }

  delete(clientSeq: number): void {
    this.#bySeq.delete(clientSeq);
    this.#touching = undefined;
  }

  clear(): void {
    this.#bySeq.clear();
    this.#touching = undefined;
  }

  /** All, in order, while it is not changed. */
  all(): Iterable<Pending> {
    if (!this.#isOrdered) {
      this.#bySeq = new Map([...this.#bySeq].sort(([a], [b]) => a - b));
      this.#isOrdered = true;
    }
    return this.#bySeq.values();
  }

  /** Those from `first` on, at most `limit`. O(those before them and they). */
  from(first: number, limit = this.size): Pending[] {
    const found: Pending[] = [];
    for (const pending of this.all()) {
      if (found.length >= limit) {
        break;
      }
      if (pending.mutation.client_seq >= first) {
        found.push(pending);
      }
    }
    return found;
  }

  /** Those that touch a record, in order. O(1), after a change once O(all). */
  touching(key: RecordKey): readonly Pending[] {
    return this.#byRecord().get(nameOf(key)) ?? [];
  }

  /** Records of an entity that are touched. */
  touched(entity: string): RecordKey[] {
    const keys = [...this.#byRecord().keys()].map((name) => name.split(" ") as [string, string]);
    return keys.filter(([name]) => name === entity);
  }

  #byRecord(): Map<string, Pending[]> {
    if (this.#touching === undefined) {
      this.#touching = new Map();
      for (const pending of this.all()) {
        for (const name of new Set(pending.mutation.ops.map((op) => nameOf(targetOf(op))))) {
          this.#touching.set(name, appended(this.#touching.get(name), pending));
        }
      }
    }
    return this.#touching;
  }
}
