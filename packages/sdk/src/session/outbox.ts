/** What goes up, and what is due when nothing comes: pushes, acks, heartbeats and watchdogs (spec §4, §16). */

import { encodedBytes } from "../json.ts";
import type { Mutation } from "../protocol/frames.ts";
import {
  DEPOSIT_WINDOW_MS,
  FRAME_BYTES_MAX,
  MUTATIONS_PER_PUSH_MAX,
  STUCK_PENDING_MS,
  STUCK_STAGED_MS,
} from "../protocol/limits.ts";
import { connect, greet, reconnectLater } from "./connection.ts";
import { resumeLoading } from "./loading.ts";
import { HANDSHAKE_MS, notify, type SessionState, send, type Turn } from "./state.ts";

/** Bytes of one push frame, below the frame limit. */
const PUSH_BYTES_MAX = FRAME_BYTES_MAX - 16 * 1024;
/** Least time between two acks (spec SES-6). */
const ACK_INTERVAL_MS = 1_000;
/** How long an outcome may wait for its effects before the client asks again (spec VEW-3). */
const AWAIT_EFFECT_MS = 10_000;

/** Fills the push window from the outbox (spec PSH-1). */
export function upload(turn: Turn): void {
  const { session, replica, now } = turn;
  if (session.upload.how === "rewinding" && session.inFlight.length === 0) {
    session.upload = { how: "streaming" };
  }
  while (session.upload.how === "streaming" && session.inFlight.length < session.window) {
    const page = replica.outbox.from(session.nextToSend, MUTATIONS_PER_PUSH_MAX);
    const mutations: Mutation[] = [];
    let bytes = 0;
    for (const pending of page) {
      if (pending.outcome !== undefined) {
        continue;
      }
      const mutation = { ...pending.mutation, age_ms: Math.max(now.wallMs - pending.authoredMs, 0) };
      bytes += encodedBytes(mutation) + 1;
      if (bytes > PUSH_BYTES_MAX && mutations.length > 0) {
        break;
      }
      mutations.push(mutation);
    }
    const [first, last] = [mutations[0], mutations.at(-1)];
    if (first === undefined || last === undefined) {
      return;
    }
    session.inFlight.push({ first: first.client_seq, last: last.client_seq });
    session.nextToSend = last.client_seq + 1;
    send(turn, { type: "push", mutations });
  }
}

/** The server took nothing of the oldest unanswered push: send it again later, after the others came back. */
export function hold({ session }: Turn, untilMs: number): void {
  const push = session.inFlight.shift();
  if (push !== undefined) {
    session.nextToSend = Math.min(session.nextToSend, push.first);
  }
  session.upload = { how: "holding", untilMs };
}

/** Arms the watchdogs over the outbox (spec LIV-2, VEW-3). */
export function watch({ session, replica, now }: Turn): void {
  const [first] = replica.outbox.from(0, 1);
  if (first === undefined) {
    session.stalled = undefined;
    session.awaitingSinceMs = undefined;
    return;
  }
  const [clientSeq, isDecided] = [first.mutation.client_seq, first.outcome !== undefined];
  if (session.stalled?.clientSeq !== clientSeq || session.stalled.isDecided !== isDecided) {
    session.stalled = { clientSeq, isDecided, sinceMs: now.monotonicMs };
  }
  // The lowest seq an outcome promised: the cursor has not reached it (spec VEW-3).
  const isAwaiting = (first.outcome?.seq ?? 0) > replica.meta.cursor;
  session.awaitingSinceMs = isAwaiting ? (session.awaitingSinceMs ?? now.monotonicMs) : undefined;
}

export async function onTick(turn: Turn): Promise<void> {
  const { session, now } = turn;
  const isDue = (sinceMs: number, afterMs: number): boolean => now.monotonicMs >= sinceMs + afterMs;
  const { phase } = session;
  switch (phase.at) {
    case "paused":
    case "signed_out":
    case "stopped":
      return;
    case "waiting":
      if (now.monotonicMs >= phase.untilMs) {
        connect(turn);
      }
      return;
    case "connecting":
    case "greeting":
      if (isDue(phase.sinceMs, HANDSHAKE_MS)) {
        reconnectLater(turn);
      }
      return;
    case "depositing":
      // What was not handed over is offered again: the server asks for it at the next connection.
      if (isDue(phase.sinceMs, DEPOSIT_WINDOW_MS)) {
        reconnectLater(turn);
      }
      return;
    case "live": {
      const isStuck =
        (session.staged !== undefined && isDue(session.staged.sinceMs, STUCK_STAGED_MS)) ||
        (session.stalled !== undefined && isDue(session.stalled.sinceMs, STUCK_PENDING_MS));
      if (isStuck) {
        notify(turn, { event: "stuck" });
        reconnectLater(turn);
      } else if (isDue(session.lastHeardMs, 2 * session.heartbeatMs)) {
        reconnectLater(turn);
      } else if (session.awaitingSinceMs !== undefined && isDue(session.awaitingSinceMs, AWAIT_EFFECT_MS)) {
        session.awaitingSinceMs = undefined;
        await greet(turn);
      } else {
        sendDue(turn);
        await resumeLoading(turn);
      }
    }
  }
}

function sendDue(turn: Turn): void {
  const { session, replica, now } = turn;
  if (session.upload.how === "holding" && now.monotonicMs >= session.upload.untilMs) {
    session.upload = { how: "rewinding" };
  }
  if (session.owesAck && now.monotonicMs >= session.lastAckMs + ACK_INTERVAL_MS) {
    session.owesAck = false;
    session.lastAckMs = now.monotonicMs;
    send(turn, { type: "ack", seq: replica.meta.cursor, outcomes_upto: replica.meta.decidedUpto });
  } else if (now.monotonicMs >= session.lastSentMs + session.heartbeatMs) {
    send(turn, { type: "heartbeat" });
  }
}

/** When a tick is due at the latest, on the monotonic clock. `undefined`: only an input from outside goes on. */
export function nextWakeupMs(session: SessionState): number | undefined {
  const { phase } = session;
  switch (phase.at) {
    case "paused":
    case "signed_out":
    case "stopped":
      return undefined;
    case "waiting":
      return phase.untilMs;
    case "connecting":
    case "greeting":
      return phase.sinceMs + HANDSHAKE_MS;
    case "depositing":
      return phase.sinceMs + DEPOSIT_WINDOW_MS;
    case "live": {
      const timers = [
        session.lastSentMs + session.heartbeatMs,
        session.lastHeardMs + 2 * session.heartbeatMs,
        session.owesAck ? session.lastAckMs + ACK_INTERVAL_MS : undefined,
        session.upload.how === "holding" ? session.upload.untilMs : undefined,
        session.staged && session.staged.sinceMs + STUCK_STAGED_MS,
        session.stalled && session.stalled.sinceMs + STUCK_PENDING_MS,
        session.awaitingSinceMs === undefined ? undefined : session.awaitingSinceMs + AWAIT_EFFECT_MS,
        session.reloadAtMs,
        ...[...session.repairs.values()].filter(({ isDue }) => isDue).map(({ nextMs }) => nextMs),
      ];
      return Math.min(...timers.filter((timer) => timer !== undefined));
    }
  }
}
