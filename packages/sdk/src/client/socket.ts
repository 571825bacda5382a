/** One WebSocket connection: from a token to the last frame (spec SES-1). */

import { decodeFrame } from "../protocol/decode.ts";
import type { ClientFrame, DeploymentMode, ServerFrame } from "../protocol/frames.ts";
import type { Auth, Failure, Renew } from "./auth.ts";
import type { Platform } from "./platform.ts";

export interface SocketListener {
  opened(): void;
  frame(frame: ServerFrame): void;
  /** The connection ended or could not be made. Nothing comes after it. */
  lost(code: number | undefined): void;
  /** No token is to be had without a person, or the server cannot be asked for one. Nothing comes after it. */
  refused(failure: Failure): void;
  /** A message that does not follow the spec, or a type of a later version; it was ignored. */
  ignored(): void;
}

export interface SocketOptions {
  readonly server: string;
  readonly mode: DeploymentMode;
  readonly clientId: string;
  readonly renew: Renew;
}

/** A message of the server. It splits its own at 256 KiB, except one mutation that is larger; beyond: the socket ends. */
const MESSAGE_CHARS_MAX = 16 << 20;

/** A connection under way. Browsers cannot send headers with a socket: the token is its first frame. */
export class Socket {
  readonly #listener: SocketListener;
  #socket: WebSocket | undefined;
  #isOver = false;

  constructor(platform: Platform, auth: Auth, options: SocketOptions, listener: SocketListener) {
    this.#listener = listener;
    void this.#connect(platform, auth, options);
  }

  /** Sends a frame; on a connection that is not open it is lost, and `lost` says so. */
  send(frame: ClientFrame): void {
    if (this.#socket?.readyState === 1) {
      this.#socket.send(JSON.stringify(frame));
    }
  }

  /** Ends the connection without another word to the listener. What was sent before still goes out. */
  close(): void {
    this.#isOver = true;
    this.#socket?.close();
  }

  async #connect(platform: Platform, auth: Auth, options: SocketOptions): Promise<void> {
    const token = await auth.bearer(options.renew);
    if (this.#isOver) {
      return;
    }
    if (!token.ok) {
      this.#end(() => this.#listener.refused(token.error));
      return;
    }
    // http becomes ws, https wss.
    const address = `ws${options.server.replace(/^http/, "")}/ws/${options.mode}/${options.clientId}`;
    const socket = new platform.WebSocket(address);
    this.#socket = socket;
    socket.addEventListener("open", () => {
      if (!this.#isOver) {
        this.send({ type: "auth", token: token.value });
        this.#listener.opened();
      }
    });
    socket.addEventListener("message", ({ data }) => this.#onMessage(data));
    socket.addEventListener("close", ({ code }) => this.#end(() => this.#listener.lost(code)));
    // A close always follows; without a listener some platforms take the error for a bug of the page.
    socket.addEventListener("error", () => undefined);
  }

  #onMessage(data: unknown): void {
    if (this.#isOver) {
      return;
    }
    if (typeof data !== "string" || data.length > MESSAGE_CHARS_MAX) {
      this.#socket?.close();
      this.#end(() => this.#listener.lost(undefined));
      return;
    }
    const decoded = decodeFrame(data);
    if (decoded.kind === "frame") {
      this.#listener.frame(decoded.frame);
    } else {
      this.#listener.ignored();
    }
  }

  #end(tell: () => void): void {
    if (!this.#isOver) {
      this.#isOver = true;
      tell();
    }
  }
}
