/** Coming and going: connecting, greeting, waiting, stopping (spec §9, §16). */

import { idV7 } from "../ids.ts";
import {
  CLOSE_AUTH_TIMEOUT,
  CLOSE_BACKEND_MISMATCH,
  CLOSE_DEVICE_REVOKED,
  CLOSE_FINAL_MAX,
  CLOSE_FINAL_MIN,
  CLOSE_UNAUTHENTICATED,
} from "../protocol/codes.ts";
import { BACKOFF_MAX_MS, BACKOFF_MIN_MS } from "../protocol/limits.ts";
import { rekey as rekeyReplica } from "../replica/outcomes.ts";
import { purge } from "../replica/scopes.ts";
import { dropConnection, notify, type SessionState, send, type Turn } from "./state.ts";

export function goOnline(turn: Turn): void {
  const { session } = turn;
  if (isIdle(session) && session.phase.at !== "stopped") {
    session.attempts = 0;
    connect(turn);
  }
}

export function pause(turn: Turn): void {
  if (turn.session.phase.at !== "stopped") {
    hangUp(turn);
    turn.session.phase = { at: "paused" };
  }
}

export function connect({ session, now, effects }: Turn): void {
  session.phase = { at: "connecting", sinceMs: now.monotonicMs };
  effects.push({ effect: "connect" });
}

/** Opens the session, or opens it anew on the same connection (spec SES-2). */
export async function greet(turn: Turn): Promise<void> {
  const { session, replica, now } = turn;
  if (isIdle(session)) {
    return;
  }
  const hello = await replica.hello(session.mode, now.wallMs);
  session.staged = undefined;
  session.walk = undefined;
  session.greetings += 1;
  session.lastHeardMs = now.monotonicMs;
  session.phase = { at: "greeting", sinceMs: now.monotonicMs };
  send(turn, hello);
}

/** Full-jitter back-off (spec LIV-1); the server's wish wins. */
export function reconnectLater(turn: Turn, retryMs?: number): void {
  const { session, now } = turn;
  hangUp(turn);
  const waitMs = backOffMs(turn);
  session.phase = { at: "waiting", untilMs: now.monotonicMs + (retryMs ?? waitMs) };
  notify(turn, { event: "disconnected" });
}

/** How long to wait after one failure more, with full jitter (spec LIV-1). */
export function backOffMs({ session, now }: Turn): number {
  const bound = Math.min(BACKOFF_MIN_MS * 2 ** session.attempts, BACKOFF_MAX_MS);
  session.attempts += 1;
  return Math.floor(fraction(now.random) * (bound + 1));
}

export function stop(turn: Turn, code: string): void {
  hangUp(turn);
  turn.session.phase = { at: "stopped", code };
  notify(turn, { event: "stopped", code });
}

export async function onDisconnected(turn: Turn, code: number | undefined): Promise<void> {
  if (isIdle(turn.session)) {
    return;
  }
  switch (code) {
    case CLOSE_DEVICE_REVOKED:
      await finishPurge(turn, "device_revoked");
      return;
    case CLOSE_BACKEND_MISMATCH:
      stop(turn, "backend_mismatch");
      return;
    case CLOSE_AUTH_TIMEOUT:
    case CLOSE_UNAUTHENTICATED:
      turn.effects.push({ effect: "renew_token" });
      break;
  }
  if (code !== undefined && code >= CLOSE_FINAL_MIN && code <= CLOSE_FINAL_MAX) {
    // Those of a later version mean what their range means.
    stop(turn, "proto_unsupported");
    return;
  }
  reconnectLater(turn);
}

/** Gives the database a new client id and connects again, because a connection is the client's that opened it. */
export async function rekey(turn: Turn, knownUpto: number): Promise<void> {
  const clientId = idV7(turn.now.wallMs, turn.now.random.subarray(6));
  await rekeyReplica(turn.replica, clientId, knownUpto);
  reconnectLater(turn);
}

export async function finishPurge(turn: Turn, code: string): Promise<void> {
  await purge(turn.replica, code);
  hangUp(turn);
  turn.session.phase = { at: "stopped", code };
  notify(turn, { event: "purged", code });
}

function hangUp({ session, effects }: Turn): void {
  dropConnection(session);
  effects.push({ effect: "disconnect" });
}

/** Whether there is no connection, nor one under way. */
function isIdle({ phase: { at } }: SessionState): boolean {
  return at === "paused" || at === "waiting" || at === "signed_out" || at === "stopped";
}

/** A number from 0 up to 1 out of six random bytes. */
function fraction(random: Uint8Array): number {
  return random.subarray(0, 6).reduce((sum, byte) => (sum + byte) / 256, 0);
}
