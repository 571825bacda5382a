/**
 * The client's side of a session: a state machine without I/O but the replica's store (spec §9 to §16).
 *
 * The shell feeds {@link Input}s one after the other and performs {@link Effect}s; it calls {@link ClientSession.handle}
 * with a tick no later than {@link ClientSession.nextWakeupMs}. Timers run on a monotonic clock, edit ages on the device's
 * wall clock, which may jump.
 */

import { unreachable } from "../json.ts";
import type { DeploymentMode } from "../protocol/frames.ts";
import type { Replica } from "../replica/replica.ts";
import { applySnapshotRows, finishLoading, resetScope, restartSnapshot } from "../replica/scopes.ts";
import { goOnline, greet, onDisconnected, pause, reconnectLater } from "./connection.ts";
import { onFrame } from "./frames.ts";
import { loadNext } from "./loading.ts";
import { nextWakeupMs, onTick, upload, watch } from "./outbox.ts";
import {
  dropConnection,
  type Effect,
  type Input,
  type Now,
  notify,
  type Phase,
  SessionState,
  type Turn,
} from "./state.ts";

/** Failures to go on with a download after which it starts over. */
const RESUME_ATTEMPTS = 3;

export class ClientSession {
  readonly #session: SessionState;

  constructor(mode: DeploymentMode) {
    this.#session = new SessionState(mode);
  }

  get phase(): Phase["at"] {
    return this.#session.phase.at;
  }

  get connectionId(): string | undefined {
    return this.#session.connectionId;
  }

  /** Takes one input. When the store fails the shell drops the connection (feeds `disconnected`) and goes on. */
  async handle(replica: Replica, input: Input, now: Now): Promise<readonly Effect[]> {
    const session = this.#session;
    const turn: Turn = { session, replica, now, effects: [] };
    await take(turn, input);
    if (session.phase.at === "live" || session.phase.at === "depositing") {
      upload(turn);
      watch(turn);
    }
    if (turn.effects.some(({ effect }) => effect === "send")) {
      session.lastSentMs = now.monotonicMs;
    }
    return turn.effects;
  }

  /** When a tick is due at the latest, on the monotonic clock. `undefined`: only an input from outside goes on. */
  nextWakeupMs(): number | undefined {
    return nextWakeupMs(this.#session);
  }

  /** Whether replica and server are the same as far as both know. */
  async isQuiescent(replica: Replica): Promise<boolean> {
    const session = this.#session;
    const isIdle =
      session.phase.at === "live" &&
      session.staged === undefined &&
      session.walk === undefined &&
      session.snapshot === undefined &&
      session.inFlight.length === 0 &&
      [...session.repairs.values()].every((repairs) => !repairs.isDue);
    if (!isIdle || replica.outbox.size > 0) {
      return false;
    }
    return [...(await replica.store.scopes()).values()].every((scope) => scope.loading === undefined);
  }
}

async function take(turn: Turn, input: Input): Promise<void> {
  const { session, replica, now } = turn;
  switch (input.input) {
    case "online":
      goOnline(turn);
      return;
    case "pause":
      pause(turn);
      return;
    case "connected":
      return greet(turn);
    case "frame":
      session.lastHeardMs = now.monotonicMs;
      return onFrame(turn, input.frame);
    case "disconnected":
      return onDisconnected(turn, input.code);
    case "signed_out":
      dropConnection(session);
      session.phase = { at: "signed_out" };
      notify(turn, { event: "sign_in_needed" });
      return;
    case "local_change":
      return;
    case "snapshot_rows":
      if (session.snapshot === input.scope) {
        await applySnapshotRows(replica, input.scope, input.rows, input.resume);
      }
      return;
    case "snapshot_end":
      if (session.snapshot === input.scope) {
        await finishLoading(replica, input.scope, input.seq, now.wallMs);
        session.snapshot = undefined;
        await loadNext(turn);
      }
      return;
    case "snapshot_failed":
      if (session.snapshot === input.scope) {
        if (input.isLost) {
          await resetScope(replica, input.scope);
        } else if (session.attempts >= RESUME_ATTEMPTS) {
          await restartSnapshot(replica, input.scope);
        }
        reconnectLater(turn);
      }
      return;
    case "tick":
      return onTick(turn);
    default:
      unreachable(input);
  }
}
