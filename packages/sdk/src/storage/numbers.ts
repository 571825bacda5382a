/** What every store checks before a write. */

import { SEQ_END } from "../protocol/limits.ts";
import { type ReplicaWrites, StoreError } from "../replica/store.ts";

/** Refuses numbers that no store and no wire can hold (spec ID-5), before anything is written. */
export function checkNumbers(writes: ReplicaWrites): void {
  const mutations = [...(writes.outboxPut ?? []), ...(writes.acknowledgedPut ?? []), ...(writes.rejectedPut ?? [])];
  const seqs = mutations.map(({ mutation }) => mutation.client_seq);
  const rvs = (writes.basePut ?? []).map((record) => record.rv);
  const bad = [...seqs, ...rvs].find((number) => !(number < SEQ_END));
  if (bad !== undefined) {
    throw new StoreError("corrupt_local", `${bad} is not below 2^53`);
  }
}
