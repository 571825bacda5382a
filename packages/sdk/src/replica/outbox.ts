/** Mutations in memory: in order, and by the records they touch. */

import { partitionPoint } from "../order.ts";
import { type RecordKey, targetOf } from "../protocol/frames.ts";
import { SEQ_END } from "../protocol/limits.ts";
import { nameOf } from "./step.ts";
import type { Pending } from "./store.ts";

/** New mutations mostly come last, and old ones leave from the front, so keeping the order costs next to nothing. */
export class Outbox {
  readonly #bySeq = new Map<number, Pending>();
  readonly #seqs: number[] = [];
  /** `client_seq` by the name of a record. */
  readonly #touching = new Map<string, Set<number>>();

  get size(): number {
    return this.#seqs.length;
  }

  get(clientSeq: number): Pending | undefined {
    return this.#bySeq.get(clientSeq);
  }

  /** Inserts or replaces by `client_seq`. */
  set(pending: Pending): void {
    const clientSeq = pending.mutation.client_seq;
    const held = this.#bySeq.get(clientSeq);
    if (held === undefined) {
      this.#seqs.splice(this.#indexOf(clientSeq), 0, clientSeq);
    } else {
      this.#forget(held);
    }
    this.#bySeq.set(clientSeq, pending);
    for (const op of pending.mutation.ops) {
      const name = nameOf(targetOf(op));
      this.#touching.set(name, (this.#touching.get(name) ?? new Set()).add(clientSeq));
    }
  }

  delete(clientSeq: number): void {
    const held = this.#bySeq.get(clientSeq);
    if (held !== undefined) {
      this.#forget(held);
      this.#bySeq.delete(clientSeq);
      this.#seqs.splice(this.#indexOf(clientSeq), 1);
    }
  }

  /** Forgets those below `clientSeq`. */
  trim(clientSeq: number): void {
    for (const seq of this.#seqs.slice(0, this.#indexOf(clientSeq))) {
      this.delete(seq);
    }
  }

  /** Those from `first` on, at most `limit`. */
  from(first: number, limit = this.size): Pending[] {
    const start = this.#indexOf(first);
    return this.#seqs.slice(start, start + limit).flatMap((clientSeq) => this.#bySeq.get(clientSeq) ?? []);
  }

  /** All, in order, while it is not changed. */
  *all(): Iterable<Pending> {
    for (const clientSeq of this.#seqs) {
      yield* this.#bySeq.has(clientSeq) ? [this.#bySeq.get(clientSeq) as Pending] : [];
    }
  }

  /** Those that touch a record, in order. */
  touching(key: RecordKey): Pending[] {
    const seqs = [...(this.#touching.get(nameOf(key)) ?? [])].sort((a, b) => a - b);
    return seqs.flatMap((clientSeq) => this.#bySeq.get(clientSeq) ?? []);
  }

  /** Records of an entity that are touched. */
  touched(entity: string): RecordKey[] {
    const ids = [...this.#touching.keys()].map((name) => name.split(" ", 2) as [string, string]);
    return ids.filter(([name]) => name === entity);
  }

  clear(): void {
    this.trim(SEQ_END);
  }

  #forget({ mutation }: Pending): void {
    for (const op of mutation.ops) {
      const name = nameOf(targetOf(op));
      const seqs = this.#touching.get(name);
      seqs?.delete(mutation.client_seq);
      if (seqs?.size === 0) {
        this.#touching.delete(name);
      }
    }
  }

  /** Where a number stands or would stand. */
  #indexOf(clientSeq: number): number {
    return partitionPoint(this.#seqs, (seq) => seq < clientSeq);
  }
}
