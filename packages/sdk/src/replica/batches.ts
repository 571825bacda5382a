/** Batches of the server, applied: each, or the frames of one catch-up, as one local transaction (spec §10). */

import { digestEquals } from "../digest.ts";
import type { Batch } from "../protocol/frames.ts";
import { acknowledge, confirmArrived } from "./outcomes.ts";
import type { Replica } from "./replica.ts";
import { keysOf, Step } from "./step.ts";
import { appended, type DraftWrites } from "./store.ts";

/** Scopes that follow the log live: those a batch that starts at the cursor moves. */
export async function liveScopes(replica: Replica): Promise<Set<string>> {
  const scopes = await replica.store.scopes();
  const live = [...scopes].filter(([, state]) => state.loading === undefined && state.seq === replica.meta.cursor);
  return new Set(live.map(([scope]) => scope));
}

/**
 * Applies all frames of one catch-up at once (spec BAT-4); afterwards `followed` stand at its end. Returns the scopes whose
 * digest is not the server's.
 */
export async function applyCatchUp(
  replica: Replica,
  frames: readonly Batch[],
  followed: ReadonlySet<string>,
  nowMs: number,
): Promise<string[]> {
  const to = frames.at(-1)?.to;
  if (to === undefined) {
    return [];
  }
  const ops = frames.flatMap((frame) => frame.changes).flatMap((change) => change.ops);
  const step = await Step.open(replica.store, keysOf(ops));
  for (const op of ops) {
    step.apply(op, "arriving", to);
  }
  for (const [scope, state] of step.scopes) {
    if (state.loading === undefined && followed.has(scope)) {
      step.scopes.set(scope, { ...state, seq: to });
    }
  }
  const digests = frames.flatMap((frame) => frame.digests ?? []);
  return finishStep(replica, step, { to, digests, nowMs, confirmed: [] });
}

/** Applies a live batch that starts at the cursor (spec BAT-1). Returns the scopes whose digest is not the server's. */
export async function applyLive(replica: Replica, batch: Batch, nowMs: number): Promise<string[]> {
  const { cursor, clientId } = replica.meta;
  const ops = batch.changes.flatMap((change) => change.ops);
  const step = await Step.open(replica.store, keysOf(ops), cursor);
  for (const op of ops) {
    step.apply(op, "arriving", batch.to);
  }
  // A scope that was loaded but not caught up yet stays where it is.
  for (const [scope, state] of step.scopes) {
    if (state.loading === undefined && state.seq === cursor) {
      step.scopes.set(scope, { ...state, seq: batch.to });
    }
  }
  const own = batch.changes.flatMap(({ by }) => (by !== undefined && by[0] === clientId ? [by[1]] : []));
  return finishStep(replica, step, { to: batch.to, digests: batch.digests ?? [], nowMs, confirmed: own });
}

interface End {
  readonly to: number;
  readonly digests: NonNullable<Batch["digests"]>;
  readonly nowMs: number;
  /** Own mutations the batch names. */
  readonly confirmed: readonly number[];
}

/** The one write of a batch: base, cursor, digests and confirmed mutations (spec BAT-3). */
async function finishStep(replica: Replica, step: Step, { to, digests, nowMs, confirmed }: End): Promise<string[]> {
  const differs = digests.filter(([scope, digest]) => {
    const state = step.scopes.get(scope);
    const isLive = state === undefined || (state.loading === undefined && state.seq === to);
    return isLive && !digestEquals(step.digest(scope), digest);
  });
  const named = differs.map(([scope]) => scope);
  const mismatched = step.hasHole && named.length === 0 ? [...step.scopes.keys()] : named;
  const writes = step.intoWrites();
  const isWhole = [...step.scopes.values()].every(({ loading }) => loading === undefined);
  writes.meta = { ...replica.meta, cursor: to, ...(isWhole && { lastSyncMs: nowMs }) };
  confirm(replica, writes, confirmed);
  confirmArrived(replica, writes);
  await replica.write(writes);
  return mismatched;
}

/** Mutations a batch names: their effects are in the base now (spec VEW-2). */
function confirm(replica: Replica, writes: DraftWrites, confirmed: readonly number[]): void {
  for (const clientSeq of confirmed) {
    const pending = replica.outbox.get(clientSeq);
    if (pending?.outcome !== undefined) {
      acknowledge(writes, pending);
    } else if (pending !== undefined) {
      writes.outboxPut = appended(writes.outboxPut, { ...pending, isInBase: true });
    }
  }
}
