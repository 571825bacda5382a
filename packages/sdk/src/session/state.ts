/** What a session knows, what goes in and what comes out. The rules are in the files beside this one. */

import type { Batch, ClientFrame, DeploymentMode, Range, RecordKey, ServerFrame, WireOp } from "../protocol/frames.ts";
import { HEARTBEAT_MS, PUSH_WINDOW } from "../protocol/limits.ts";
import type { Replica } from "../replica/replica.ts";

/** Both clocks and fresh randomness, as the shell has them at this moment. */
export interface Now {
  /** Never goes back; any origin. */
  readonly monotonicMs: number;
  /** The device's clock. */
  readonly wallMs: number;
  /** 16 random bytes: jitter, and new client ids. */
  readonly random: Uint8Array;
}

export type Input =
  /** Begin to sync, or the network came back: connect at once. */
  | { readonly input: "online" }
  /** The person pauses syncing, or the network is known to be gone. */
  | { readonly input: "pause" }
  | { readonly input: "connected" }
  | { readonly input: "frame"; readonly frame: ServerFrame }
  /** The connection ended or could not be made. `code`: the WebSocket close code, when there was one. */
  | { readonly input: "disconnected"; readonly code?: number }
  /** The credential was refused or ran out, and could not be renewed. */
  | { readonly input: "signed_out" }
  /** A local mutation was added to the outbox. */
  | { readonly input: "local_change" }
  /** Rows of a snapshot; `resume`: the token after them, when a page ended. */
  | {
      readonly input: "snapshot_rows";
      readonly scope: string;
      readonly rows: readonly WireOp[];
      readonly resume?: string;
    }
  | { readonly input: "snapshot_end"; readonly scope: string; readonly seq: number }
  /** `isLost`: what was loaded cannot be continued, and all of the scope is asked for again. */
  | { readonly input: "snapshot_failed"; readonly scope: string; readonly isLost: boolean }
  | { readonly input: "tick" };

export type Effect =
  | { readonly effect: "connect" }
  | { readonly effect: "disconnect" }
  | { readonly effect: "send"; readonly frame: ClientFrame }
  /** Download and feed rows and their end; ends an earlier download, and ends with the connection. */
  | { readonly effect: "fetch_snapshot"; readonly scope: string; readonly url: string; readonly resume?: string }
  /** Renew the access token before connecting again. */
  | { readonly effect: "renew_token" }
  | { readonly effect: "notify"; readonly event: SessionEvent };

/** What a person or an operator may want to know. */
export type SessionEvent =
  | { readonly event: "connected" }
  | { readonly event: "disconnected" }
  /** The base changed up to this seq. */
  | { readonly event: "changed"; readonly cursor: number }
  /** The server decided our mutations up to this number: they are not waited for any more. */
  | { readonly event: "decided"; readonly upto: number }
  | { readonly event: "rejected"; readonly clientSeqs: readonly number[] }
  /** Replica and server differed; a repair by range began. */
  | { readonly event: "repairing"; readonly scope: string }
  /** The watchdog dropped the session (spec LIV-2). */
  | { readonly event: "stuck" }
  /** Everything was deleted because access was withdrawn (spec REV-2). */
  | { readonly event: "purged"; readonly code: string }
  /** Syncing stopped for good; the outbox is kept. */
  | { readonly event: "stopped"; readonly code: string }
  /** A person must sign in again; the outbox is kept. */
  | { readonly event: "sign_in_needed" };

/** Where the session is. Every phase but `paused` and the final ones has something under way or a timer (invariant 9). */
export type Phase =
  | { readonly at: "paused" }
  /** Waits until the moment, then connects. */
  | { readonly at: "waiting"; readonly untilMs: number }
  | { readonly at: "connecting"; readonly sinceMs: number }
  /** `hello` was sent. */
  | { readonly at: "greeting"; readonly sinceMs: number }
  | { readonly at: "live" }
  /** Hands over what is pending before everything is deleted. */
  | { readonly at: "depositing"; readonly code: string; readonly sinceMs: number }
  | { readonly at: "signed_out" }
  | { readonly at: "stopped"; readonly code: string };

/** How the outbox goes out. */
export type Upload =
  | { readonly how: "streaming" }
  /** The server wants an earlier mutation: let the unanswered pushes come back first. */
  | { readonly how: "rewinding" }
  /** The server asked for patience. */
  | { readonly how: "holding"; readonly untilMs: number };

/** Frames of a catch-up on their way. */
export interface Staged {
  readonly frames: Batch[];
  /** Scopes that stand at its end. */
  readonly followed: ReadonlySet<string>;
  readonly sinceMs: number;
}

/** A comparison under way (spec REP-1). One step at a time is unanswered. */
export interface Walk {
  readonly scope: string;
  /** Seq of the first reply: where the scope stands afterwards. */
  firstSeq: number | undefined;
  readonly ranges: Range[];
  readonly wanted: RecordKey[];
  /** Records asked for and not answered. */
  asked: readonly RecordKey[];
}

export interface Repairs {
  /** Since the digest last agreed. */
  readonly count: number;
  /** When the next repair of the scope is allowed. */
  readonly nextMs: number;
  /** It differed again before that. */
  readonly isDue: boolean;
}

/** The first mutation of the outbox, whether it is decided, and since when that has not changed. */
export interface Stalled {
  readonly clientSeq: number;
  readonly isDecided: boolean;
  readonly sinceMs: number;
}

/** How long connecting and greeting may take. */
export const HANDSHAKE_MS = 15_000;

/** A session with everything a function of it needs: its state, the replica, the moment, and where effects go. */
export class SessionState {
  readonly mode: DeploymentMode;
  phase: Phase = { at: "paused" };
  /** As the server names the connection, once it has said `welcome` on it. */
  declare connectionId: string | undefined;
  attempts = 0;
  /** `hello`s that were not answered; only the answer to the last one counts. */
  declare greetings: number;
  heartbeatMs = HEARTBEAT_MS;
  window = PUSH_WINDOW;
  /** First and last `client_seq` of unanswered pushes. */
  declare inFlight: { first: number; readonly last: number }[];
  nextToSend = 1;
  declare upload: Upload;
  declare staged: Staged | undefined;
  /** Scope that is being downloaded. */
  declare snapshot: string | undefined;
  declare walk: Walk | undefined;
  readonly repairs = new Map<string, Repairs>();
  lastSentMs = 0;
  lastHeardMs = 0;
  lastAckMs = 0;
  declare owesAck: boolean;
  declare stalled: Stalled | undefined;
  declare awaitingSinceMs: number | undefined;
  /** When to look again for something to load, after the server had no time for it. */
  declare reloadAtMs: number | undefined;

  constructor(mode: DeploymentMode) {
    this.mode = mode;
    dropConnection(this);
  }
}

/** Forgets what belongs to a connection. */
export function dropConnection(session: SessionState): void {
  session.inFlight = [];
  session.upload = { how: "streaming" };
  session.owesAck = false;
  session.greetings = 0;
  session.connectionId =
    session.staged =
    session.snapshot =
    session.walk =
    session.stalled =
    session.awaitingSinceMs =
    session.reloadAtMs =
      undefined;
}

/** One input under way. */
export interface Turn {
  readonly session: SessionState;
  readonly replica: Replica;
  readonly now: Now;
  readonly effects: Effect[];
}

export function send(turn: Turn, frame: ClientFrame): void {
  turn.effects.push({ effect: "send", frame });
}

export function notify(turn: Turn, event: SessionEvent): void {
  turn.effects.push({ effect: "notify", event });
}
