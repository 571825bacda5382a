/** Downloads, comparisons and repairs: everything that brings a scope up to the log (spec §12, §13). */

import type { Problem } from "../protocol/codes.ts";
import { FETCH_RECORDS_MAX, VERIFY_RANGES_MAX } from "../protocol/limits.ts";
import { beginReconcile, finishLoading, resetScope, wholeRange } from "../replica/scopes.ts";
import { greet } from "./connection.ts";
import { notify, send, type Turn } from "./state.ts";

/** Least time between two repairs of one scope. */
const REPAIR_INTERVAL_MS = 60_000;
/** Repairs that did not help before a scope is loaded anew (spec REP-4). */
const REPAIRS_MAX = 3;
/** How long to wait before asking again when the server did not say. */
const RELOAD_MS = 1_000;

/**
 * Starts what is still to be loaded, one scope at a time; when nothing is left after something was, greets again so that the
 * server catches the loaded scopes up.
 */
export async function loadNext(turn: Turn): Promise<void> {
  const { session, replica, effects } = turn;
  const isBusy = session.staged !== undefined || session.snapshot !== undefined || session.walk !== undefined;
  if (session.phase.at !== "live" || isBusy || session.reloadAtMs !== undefined) {
    return;
  }
  const scopes = await replica.store.scopes();
  for (const [scope, { loading }] of scopes) {
    if (loading?.how === "snapshot") {
      const { url, resume } = loading;
      session.snapshot = scope;
      effects.push({ effect: "fetch_snapshot", scope, url, ...(resume !== undefined && { resume }) });
      return;
    }
    if (loading?.how === "reconcile") {
      const ranges = [await wholeRange(replica, scope)];
      session.walk = { scope, firstSeq: undefined, ranges, wanted: [], asked: [] };
      return walkOn(turn);
    }
  }
  if ([...scopes.values()].some((state) => state.seq !== replica.meta.cursor)) {
    return greet(turn);
  }
  // Everything is there, and no push waits to be taken: whatever went wrong before is over.
  if (session.inFlight.length === 0 && session.upload.how === "streaming") {
    session.attempts = 0;
  }
}

/** Repairs that had to wait, and loads the server had no time for. */
export async function resumeLoading(turn: Turn): Promise<void> {
  const { session, now } = turn;
  for (const [scope, repairs] of [...session.repairs]) {
    if (repairs.isDue && now.monotonicMs >= repairs.nextMs) {
      await repair(turn, scope);
    }
  }
  if (session.reloadAtMs !== undefined && now.monotonicMs < session.reloadAtMs) {
    return;
  }
  session.reloadAtMs = undefined;
  await loadNext(turn);
}

/** A digest differed: compare by range, not more than once a minute per scope; after three in vain load it anew. */
export async function repair(turn: Turn, scope: string): Promise<void> {
  const { session, replica, now } = turn;
  const repairs = session.repairs.get(scope) ?? { count: 0, nextMs: 0, isDue: false };
  if (now.monotonicMs < repairs.nextMs) {
    session.repairs.set(scope, { ...repairs, isDue: true });
    return;
  }
  const isHopeless = repairs.count >= REPAIRS_MAX;
  const count = isHopeless ? 0 : repairs.count + 1;
  session.repairs.set(scope, { count, nextMs: now.monotonicMs + REPAIR_INTERVAL_MS, isDue: false });
  notify(turn, { event: "repairing", scope });
  if (isHopeless) {
    await resetScope(replica, scope);
  } else {
    await beginReconcile(replica, scope, replica.meta.cursor);
  }
}

/** Asks the next question of a comparison, or ends it. */
export async function walkOn(turn: Turn): Promise<void> {
  const { session, replica, now } = turn;
  const { walk } = session;
  if (walk === undefined) {
    return;
  }
  const { scope } = walk;
  if (walk.wanted.length > 0) {
    walk.asked = walk.wanted.splice(0, FETCH_RECORDS_MAX);
    send(turn, { type: "fetch", scope, records: walk.asked });
  } else if (walk.ranges.length > 0) {
    send(turn, { type: "verify", scope, ranges: walk.ranges.splice(0, VERIFY_RANGES_MAX) });
  } else {
    session.walk = undefined;
    await finishLoading(replica, scope, walk.firstSeq ?? 0, now.wallMs);
    await loadNext(turn);
  }
}

/** A question of a comparison was not answered: ask again later, or, when the scope is not ours any more, greet. */
export async function onWalkProblem(turn: Turn, scope: string, problem: Problem): Promise<void> {
  const { session, now } = turn;
  if (session.walk?.scope !== scope) {
    return;
  }
  session.walk = undefined;
  if (problem.class === "transient") {
    session.reloadAtMs = now.monotonicMs + (problem.retry_ms ?? RELOAD_MS);
    return;
  }
  await greet(turn);
}

/** Ends what is under way for a scope that was taken away. */
export async function forgetScope(turn: Turn, scope: string): Promise<void> {
  const { session } = turn;
  session.repairs.delete(scope);
  session.snapshot = session.snapshot === scope ? undefined : session.snapshot;
  session.walk = session.walk?.scope === scope ? undefined : session.walk;
  if (session.staged !== undefined) {
    // Rows of it may be among the staged ones.
    return greet(turn);
  }
  await loadNext(turn);
}
