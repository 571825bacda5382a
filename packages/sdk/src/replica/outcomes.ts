/** What the server decided about our mutations: where they go, and how they come back (spec §4, §15). */

import type { Mutation, Outcome } from "../protocol/frames.ts";
import { ACKNOWLEDGED_KEPT_MAX } from "../protocol/limits.ts";
import type { Replica } from "./replica.ts";
import { appended, type DraftWrites, type Pending, type ReplicaMeta } from "./store.ts";

/** What taking in outcomes led to. */
export interface AppliedOutcomes {
  /** `client_seq` of mutations that were newly rejected. */
  readonly rejected: readonly number[];
  /**
   * The server decided another mutation under a number of ours: two databases share the client id, and this one needs a
   * new one (spec PSH-7).
   */
  readonly sharesClientId: boolean;
}

/** Takes in outcomes: rejected mutations move to the rejected list, others wait for their effects (spec VEW-2). */
export async function applyOutcomes(replica: Replica, outcomes: readonly Outcome[]): Promise<AppliedOutcomes> {
  const writes: DraftWrites = {};
  const rejected: number[] = [];
  let { decidedUpto } = replica.meta;
  let sharesClientId = false;
  for (const outcome of outcomes) {
    const found = replica.outbox.get(outcome.client_seq);
    const isOther = found !== undefined && found.mutation.mutation_id !== outcome.mutation_id;
    if (isOther || outcome.client_seq >= replica.meta.nextClientSeq) {
      sharesClientId = true;
      break;
    }
    decidedUpto = Math.max(decidedUpto, outcome.client_seq);
    if (found === undefined || found.outcome !== undefined) {
      continue;
    }
    const decided = { ...found, outcome };
    if (outcome.outcome === "rejected") {
      rejected.push(outcome.client_seq);
      reject(writes, decided, outcome);
    } else if (found.isInBase === true || outcome.seq <= replica.meta.cursor) {
      acknowledge(writes, decided);
    } else {
      writes.outboxPut = appended(writes.outboxPut, decided);
    }
  }
  if (decidedUpto > ACKNOWLEDGED_KEPT_MAX) {
    writes.acknowledgedTrim = decidedUpto - ACKNOWLEDGED_KEPT_MAX;
  }
  writes.meta = { ...replica.meta, decidedUpto };
  await replica.write(writes);
  return { rejected, sharesClientId };
}

/** Moves a decided mutation out of the outbox and keeps it for a server that was restored (spec EPO-3). */
export function acknowledge(writes: DraftWrites, pending: Pending): void {
  writes.outboxDelete = appended(writes.outboxDelete, pending.mutation.client_seq);
  writes.acknowledgedPut = appended(writes.acknowledgedPut, pending);
}

/**
 * Moves a refused mutation to the rejected list. What is kept for a restored server is an empty one in its place: it is
 * not to be tried again, only the numbering must have no gap.
 */
function reject(writes: DraftWrites, pending: Pending, outcome: Outcome): void {
  const { mutation, authoredMs } = pending;
  acknowledge(writes, { ...pending, mutation: { ...mutation, ops: [] } });
  if (mutation.ops.length > 0) {
    writes.rejectedPut = appended(writes.rejectedPut, { mutation, authoredMs, outcome });
  }
}

/** Mutations whose outcome lies at or before the cursor that `writes` sets: they leave the overlay. */
export function confirmArrived(replica: Replica, writes: DraftWrites): void {
  const cursor = writes.meta?.cursor ?? replica.meta.cursor;
  const handled = new Set([
    ...(writes.outboxDelete ?? []),
    ...(writes.outboxPut ?? []).map((pending) => pending.mutation.client_seq),
  ]);
  // Decided mutations come before the undecided ones.
  for (const pending of replica.outbox.all()) {
    if (handled.has(pending.mutation.client_seq)) {
      continue;
    }
    if (pending.outcome === undefined) {
      return;
    }
    if (pending.outcome.seq <= cursor) {
      acknowledge(writes, pending);
    }
  }
}

/**
 * Acknowledged mutations that a restored server does not know, as pending again (spec EPO-3). `undefined`: they are not all
 * kept any more, and a new client id is needed.
 */
export async function offerAgain(replica: Replica, applied: number): Promise<Pending[] | undefined> {
  const { decidedUpto } = replica.meta;
  if (applied >= decidedUpto) {
    return [];
  }
  // Decided ones whose effects had not arrived are still in the outbox.
  const waiting = replica.outbox.from(applied + 1);
  const lost = new Map<number, Pending>();
  for (const pending of [...waiting.filter(isDecided), ...(await replica.store.acknowledged(applied + 1))]) {
    lost.set(pending.mutation.client_seq, pending);
  }
  const ordered = [...lost.values()].sort(bySeq);
  // Numbers ascend: when the last of the decided is in its place, none before it is missing. What is in the base without a known
  // outcome comes after them.
  const isWhole = ordered[decidedUpto - applied - 1]?.mutation.client_seq === decidedUpto;
  return isWhole ? ordered.map(undecided) : undefined;
}

/** Makes mutations from `expected` on pending again: a restored server asks for them. False: a new client id is needed. */
export async function rewind(replica: Replica, expected: number): Promise<boolean> {
  const upto = Math.max(expected - 1, 0);
  const outboxPut = await offerAgain(replica, upto);
  if (outboxPut === undefined) {
    return false;
  }
  const meta = { ...replica.meta, decidedUpto: Math.min(replica.meta.decidedUpto, upto) };
  await replica.write({ meta, outboxPut });
  return true;
}

/**
 * Gives the database a new client id and numbers what is pending from 1 (spec ID-2, EPO-3). Mutations with a known outcome
 * leave the outbox, unless their number is above `knownUpto`: those the server has lost.
 */
export async function rekey(replica: Replica, clientId: string, knownUpto: number): Promise<void> {
  const outbox = replica.outbox.from(0);
  const acknowledged = Number.isSafeInteger(knownUpto + 1) ? await replica.store.acknowledged(knownUpto + 1) : [];
  const offered = [
    ...acknowledged.filter((pending) => pending.mutation.ops.length > 0),
    ...outbox.filter((pending) => !isDecided(pending) || pending.mutation.client_seq > knownUpto),
  ].sort(bySeq);
  const renumbered = new Map(offered.map((pending, index) => [pending.mutation.client_seq, index + 1] as const));
  const kept = offered.map((pending, index) => ({
    ...undecided(pending),
    mutation: renumber(pending.mutation, index + 1, renumbered),
  }));
  const meta: ReplicaMeta = { ...replica.meta, clientId, nextClientSeq: kept.length + 1, decidedUpto: 0 };
  const former = outbox.map((pending) => pending.mutation.client_seq);
  await replica.write({
    meta,
    outboxPut: kept,
    outboxDelete: former.filter((clientSeq) => clientSeq > kept.length),
    acknowledgedClear: true,
  });
}

function renumber(mutation: Mutation, clientSeq: number, renumbered: ReadonlyMap<number, number>): Mutation {
  const dependsOn = (mutation.depends_on ?? []).flatMap((seq) => renumbered.get(seq) ?? []);
  const { depends_on: _, ...rest } = mutation;
  return { ...rest, client_seq: clientSeq, ...(dependsOn.length > 0 && { depends_on: dependsOn }) };
}

function isDecided(pending: Pending): boolean {
  return pending.outcome !== undefined || pending.isInBase === true;
}

function undecided({ mutation, authoredMs }: Pending): Pending {
  return { mutation, authoredMs };
}

function bySeq(a: Pending, b: Pending): number {
  return a.mutation.client_seq - b.mutation.client_seq;
}
