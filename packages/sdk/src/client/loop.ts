/** The shell of one {@link ClientSession}: inputs in, effects performed. Sockets and downloads feed it what happens. */

import type { JsonObject } from "../json.ts";
import type { DeploymentMode } from "../protocol/frames.ts";
import type { Replica } from "../replica/replica.ts";
import { StoreError } from "../replica/store.ts";
import { ClientSession } from "../session/session.ts";
import type { Effect, Input, SessionEvent } from "../session/state.ts";
import type { Auth, Renew } from "./auth.ts";
import type { Connect, Link } from "./link.ts";
import type { Platform } from "./platform.ts";
import type { Serial } from "./serial.ts";
import { download } from "./snapshot.ts";

/** Frames that may wait for the store. Beyond, the connection is dropped: catching up is cheaper than a full memory. */
const FRAMES_WAITING_MAX = 1_000;
/** Bytes of randomness of one input. */
const RANDOM_BYTES = 16;
/** Between two looks whether everything is in step. */
const LOOK_MS = 10;
/** Timers of platforms hold 31 bits. */
const TIMER_MAX_MS = 2 ** 31 - 1;

export interface LoopListener {
  event(event: SessionEvent): void;
  /** A frame that the replica has no part in, or, without one, a message that does not follow the spec. */
  aside(frame?: JsonObject): void;
  /** Part of a download is stored, or it has ended. */
  loaded(): void;
  /** A step of the store failed; syncing is paused. */
  storeFailed(error: StoreError): void;
}

export interface LoopOptions {
  readonly server: string;
  readonly mode: DeploymentMode;
  readonly platform: Platform;
  readonly auth: Auth;
  readonly connect: Connect;
  readonly replica: Replica;
  /** The owner of the replica. */
  readonly serial: Serial;
  readonly listener: LoopListener;
}

export class SyncLoop {
  readonly #options: LoopOptions;
  readonly #session: ClientSession;
  #socket: Link | undefined;
  #downloads = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #renew: Renew = "if_needed";
  #isClosed = false;

  constructor(options: LoopOptions) {
    this.#options = options;
    this.#session = new ClientSession(options.mode);
    // Where the platform tells that the network is back nobody waits (spec LIV-1).
    globalThis.addEventListener?.("online", this.#onOnline);
  }

  get phase(): ClientSession["phase"] {
    return this.#session.phase;
  }

  /** Of the connection that is live; `undefined`: there is none. */
  get connectionId(): string | undefined {
    return this.#session.connectionId;
  }

  /** Sends what the session has no part in; without a connection it is lost. */
  send(frame: JsonObject): void {
    this.#socket?.send(frame);
  }

  readonly #onOnline = async (): Promise<void> => {
    // A connection from before has mostly died without a word: a hello costs less than the minute until that shows.
    await this.feed({ input: "disconnected" });
    if (this.#session.phase === "waiting") {
      await this.feed({ input: "online" });
    }
  };

  /** Feeds one input; resolves when its effects are performed. Throws what is a bug, never a failure of the store. */
  feed(input: Input): Promise<void> {
    return this.#options.serial.run(() => this.#take(input));
  }

  /** Resolves when replica and server are the same as far as both know, or with false after `timeoutMs`. */
  async untilQuiescent(timeoutMs: number): Promise<boolean> {
    const { platform, serial, replica } = this.#options;
    const endMs = platform.monotonicMs() + timeoutMs;
    while (!this.#isClosed) {
      if (await serial.run(() => this.#session.isQuiescent(replica))) {
        return true;
      }
      if (platform.monotonicMs() >= endMs) {
        return false;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return false;
  }

  /** Ends connection, downloads and timers. Nothing is fed afterwards. */
  close(): void {
    this.#isClosed = true;
    globalThis.removeEventListener?.("online", this.#onOnline);
    this.#disconnect();
    clearTimeout(this.#timer);
  }

  async #take(input: Input): Promise<void> {
    if (this.#isClosed) {
      return;
    }
    try {
      this.#perform(await this.#handle(input));
    } catch (error) {
      if (!(error instanceof StoreError)) {
        throw error;
      }
      // Nothing gets better by itself: coming back would download again what cannot be stored.
      this.#perform(await this.#handle({ input: "pause" }));
      this.#options.listener.storeFailed(error);
    } finally {
      this.#arm();
    }
  }

  #handle(input: Input): Promise<readonly Effect[]> {
    const { platform, replica } = this.#options;
    const [monotonicMs, wallMs] = [platform.monotonicMs(), platform.wallMs()];
    return this.#session.handle(replica, input, { monotonicMs, wallMs, random: platform.random(RANDOM_BYTES) });
  }

  #perform(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.effect) {
        case "connect":
          this.#connect();
          break;
        case "disconnect":
          this.#disconnect();
          break;
        case "send":
          this.#socket?.send(effect.frame);
          break;
        case "fetch_snapshot":
          this.#abortDownloads();
          void download(this.#options.auth, effect, this.#downloads.signal, async (input) => {
            await this.feed(input);
            this.#options.listener.loaded();
          });
          break;
        case "renew_token":
          this.#renew = "always";
          break;
        case "notify":
          this.#options.listener.event(effect.event);
      }
    }
  }

  #connect(): void {
    this.#disconnect();
    const { server, mode, platform, auth, connect, replica, serial } = this.#options;
    const renew = this.#renew;
    this.#renew = "if_needed";
    const options = { server, mode, clientId: replica.meta.clientId, renew };
    const tell = (input: Input): void => {
      // What an earlier connection had still to say does not count.
      void serial.run(async () => (this.#socket === socket ? this.#take(input) : undefined));
    };
    const socket: Link = connect(platform, auth, options, {
      opened: () => tell({ input: "connected" }),
      frame: (frame) => {
        if (serial.waiting > FRAMES_WAITING_MAX) {
          socket.close();
          tell({ input: "disconnected" });
        } else {
          tell({ input: "frame", frame });
        }
      },
      lost: (code) => tell(code === undefined ? { input: "disconnected" } : { input: "disconnected", code }),
      refused: (failure) => {
        const isRevoked = failure.failure === "refused" && failure.problem.code === "device_revoked";
        this.#renew = isRevoked ? "always" : this.#renew;
        tell({ input: failure.failure === "sign_in_needed" ? "signed_out" : "disconnected" });
      },
      aside: (frame) => this.#options.listener.aside(frame),
    });
    this.#socket = socket;
  }

  #disconnect(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#abortDownloads();
  }

  #abortDownloads(): void {
    this.#downloads.abort();
    this.#downloads = new AbortController();
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const atMs = this.#session.nextWakeupMs();
    if (atMs !== undefined && !this.#isClosed) {
      const waitMs = Math.max(atMs - this.#options.platform.monotonicMs(), 0);
      this.#timer = setTimeout(() => void this.feed({ input: "tick" }), Math.min(waitMs, TIMER_MAX_MS));
    }
  }
}
