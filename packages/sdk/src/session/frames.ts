/** What the server says, frame by frame (spec §9, §10, §14). */

import { unreachable } from "../json.ts";
import type { Problem } from "../protocol/codes.ts";
import type { Batch, Outcome, ServerFrame, VerifyReply, Welcome } from "../protocol/frames.ts";
import { applyCatchUp, applyLive, liveScopes } from "../replica/batches.ts";
import { applyOutcomes, rewind } from "../replica/outcomes.ts";
import { applyFetched, applyWelcome, compare, dropScope, purgeBase } from "../replica/scopes.ts";
import { backOffMs, finishPurge, greet, reconnectLater, rekey, stop } from "./connection.ts";
import { forgetScope, loadNext, onWalkProblem, repair, walkOn } from "./loading.ts";
import { hold } from "./outbox.ts";
import { dropConnection, notify, type Turn } from "./state.ts";

/** Pushes of one session are never more than this, whatever the server allows. */
const WINDOW_MAX = 64;
/** Heartbeats are at least this far apart. */
const HEARTBEAT_MIN_MS = 1_000;

export async function onFrame(turn: Turn, frame: ServerFrame): Promise<void> {
  const { session, replica } = turn;
  const { at } = session.phase;
  if (at !== "greeting" && at !== "live" && at !== "depositing") {
    return;
  }
  switch (frame.type) {
    case "welcome":
      return onWelcome(turn, frame);
    case "batch":
      return onBatch(turn, frame);
    case "outcomes":
      return onOutcomes(turn, frame.outcomes);
    case "out_of_order":
      return onOutOfOrder(turn, frame.expected);
    case "slow_down":
      hold(turn, turn.now.monotonicMs + frame.retry_ms);
      return;
    case "grant":
      if (frame.action === "add") {
        return greet(turn);
      }
      await dropScope(replica, frame.scope);
      notify(turn, { event: "changed", cursor: replica.meta.cursor });
      return forgetScope(turn, frame.scope);
    case "verify_reply":
      return onVerifyReply(turn, frame);
    case "records": {
      const { walk } = session;
      if (walk?.scope === frame.scope) {
        const answered = Math.max(frame.answered, 1);
        walk.wanted.push(...walk.asked.slice(answered));
        const asked = walk.asked.slice(0, answered);
        walk.asked = [];
        await applyFetched(replica, asked, frame.records, frame.seq);
        await walkOn(turn);
      }
      return;
    }
    // Messages are no data: whoever opened the inbox takes them beside this machine.
    case "heartbeat_ack":
      return;
    case "sync_now":
      // Scopes are compared whole, so that the named entities are among what is brought into step.
      return session.phase.at === "live" ? greet(turn) : undefined;
    case "goodbye":
      reconnectLater(turn, frame.retry_ms);
      return;
    case "purge":
      dropConnection(session);
      session.nextToSend = replica.meta.decidedUpto + 1;
      session.phase = { at: "depositing", code: frame.code, sinceMs: turn.now.monotonicMs };
      await purgeBase(replica);
      // What waited for its effects is gone with it: whoever shows either looks again.
      notify(turn, { event: "changed", cursor: 0 });
      if (replica.outbox.size === 0) {
        await finishPurge(turn, frame.code);
      }
      return;
    case "error":
      return onProblem(turn, frame.problem);
    default:
      unreachable(frame);
  }
}

async function onWelcome(turn: Turn, welcome: Welcome): Promise<void> {
  const { session, replica, now } = turn;
  session.greetings = Math.max(session.greetings - 1, 0);
  if (session.phase.at !== "greeting" || session.greetings > 0) {
    return;
  }
  const taken = await applyWelcome(replica, welcome, now.wallMs);
  if (taken.end === "backend_mismatch") {
    stop(turn, "backend_mismatch");
    return;
  }
  if (taken.end === "needs_new_client_id") {
    return rekey(turn, welcome.applied_client_seq);
  }
  session.phase = { at: "live" };
  session.connectionId = welcome.connection_id;
  session.heartbeatMs = Math.max(welcome.heartbeat_ms, HEARTBEAT_MIN_MS);
  session.window = Math.max(Math.min(welcome.window, WINDOW_MAX), 1);
  if (session.inFlight.length === 0) {
    session.nextToSend = Math.max(replica.meta.decidedUpto, welcome.applied_client_seq) + 1;
    session.upload = { how: "streaming" };
  }
  if (session.snapshot !== undefined) {
    const state = (await replica.store.scopes()).get(session.snapshot);
    session.snapshot = state?.loading?.how === "snapshot" ? session.snapshot : undefined;
  }
  if (taken.followed === undefined) {
    await loadNext(turn);
  } else {
    session.staged = { frames: [], followed: taken.followed, sinceMs: now.monotonicMs };
  }
  session.owesAck = true;
  notify(turn, { event: "connected" });
}

async function onBatch(turn: Turn, batch: Batch): Promise<void> {
  const { session, replica, now } = turn;
  if (session.phase.at !== "live") {
    return;
  }
  let compared: readonly string[];
  let mismatched: readonly string[];
  if (batch.catch_up === true) {
    if (session.staged === undefined && batch.from !== replica.meta.cursor) {
      return greet(turn);
    }
    // One that no welcome promised: the session fell behind the live batches.
    session.staged ??= { frames: [], followed: await liveScopes(replica), sinceMs: now.monotonicMs };
    const { frames, followed } = session.staged;
    frames.push(batch);
    if (batch.more === true) {
      return;
    }
    session.staged = undefined;
    compared = scopesOf(frames);
    mismatched = await applyCatchUp(replica, frames, followed, now.wallMs);
  } else {
    if (batch.to <= replica.meta.cursor) {
      return;
    }
    if (session.staged !== undefined || batch.from !== replica.meta.cursor) {
      return greet(turn);
    }
    compared = scopesOf([batch]);
    mismatched = await applyLive(replica, batch, now.wallMs);
  }
  session.owesAck = true;
  for (const scope of compared) {
    if (!mismatched.includes(scope)) {
      const repairs = session.repairs.get(scope);
      if (repairs !== undefined) {
        session.repairs.set(scope, { ...repairs, count: 0, isDue: false });
      }
    }
  }
  notify(turn, { event: "changed", cursor: replica.meta.cursor });
  for (const scope of mismatched) {
    await repair(turn, scope);
  }
  await loadNext(turn);
}

function scopesOf(batches: readonly Batch[]): string[] {
  return batches.flatMap((batch) => batch.digests ?? []).map(([scope]) => scope);
}

async function onOutcomes(turn: Turn, outcomes: readonly Outcome[]): Promise<void> {
  const { session, replica } = turn;
  const applied = await applyOutcomes(replica, outcomes);
  if (applied.sharesClientId) {
    return rekey(turn, Number.MAX_SAFE_INTEGER);
  }
  const last = Math.max(...outcomes.map((outcome) => outcome.client_seq));
  session.inFlight = session.inFlight.filter((push) => push.last > last);
  const front = session.inFlight[0];
  if (front !== undefined && front.first <= last) {
    // A reply that stops short of what was pushed: the rest was answered out of order.
    front.first = last + 1;
  }
  session.owesAck = true;
  notify(turn, { event: "decided", upto: replica.meta.decidedUpto });
  if (applied.rejected.length > 0) {
    notify(turn, { event: "rejected", clientSeqs: applied.rejected });
  }
  if (session.phase.at === "depositing" && replica.outbox.size === 0) {
    await finishPurge(turn, session.phase.code);
  }
}

async function onOutOfOrder(turn: Turn, expected: number): Promise<void> {
  const { session, replica } = turn;
  session.inFlight.shift();
  session.nextToSend = expected;
  if (session.upload.how === "streaming") {
    session.upload = { how: "rewinding" };
  }
  if (expected > replica.meta.decidedUpto) {
    return;
  }
  // A restored server. Its welcome would say what it lacks; in a deposit there is none.
  if (session.phase.at !== "depositing") {
    return greet(turn);
  }
  if (!(await rewind(replica, expected))) {
    await rekey(turn, Math.max(expected - 1, 0));
  }
}

async function onVerifyReply(turn: Turn, reply: VerifyReply): Promise<void> {
  const { walk } = turn.session;
  if (walk?.scope !== reply.scope) {
    return;
  }
  const comparison = await compare(turn.replica, reply);
  walk.firstSeq ??= reply.seq;
  walk.ranges.push(...comparison.ranges);
  walk.wanted.push(...comparison.fetch);
  await walkOn(turn);
}

async function onProblem(turn: Turn, problem: Problem): Promise<void> {
  const { now, effects } = turn;
  if (problem.scope !== undefined) {
    return onWalkProblem(turn, problem.scope, problem);
  }
  switch (problem.class) {
    case "session":
      effects.push({ effect: "renew_token" });
      reconnectLater(turn, problem.retry_ms);
      return;
    case "protocol":
      reconnectLater(turn, problem.retry_ms);
      return;
    case "fatal":
    case "rejected":
      // Two databases share the client id, or it is somebody else's (spec ID-2, PSH-7).
      if (problem.client_seq !== undefined || problem.code === "forbidden") {
        return rekey(turn, Number.MAX_SAFE_INTEGER);
      }
      stop(turn, problem.code);
      return;
    case "local":
      stop(turn, problem.code);
      return;
    default: {
      // `transient`, and every class of a later server.
      const waitMs = backOffMs(turn);
      hold(turn, now.monotonicMs + (problem.retry_ms ?? waitMs));
    }
  }
}
