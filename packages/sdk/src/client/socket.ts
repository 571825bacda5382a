/** One WebSocket connection: from a token to the last frame (spec SES-1). */

import type { JsonObject } from "../json.ts";
import { decodeFrame } from "../protocol/decode.ts";
import type { ClientFrame } from "../protocol/frames.ts";
import type { Auth } from "./auth.ts";
import { type Connect, type Link, type LinkListener, type LinkOptions, MESSAGE_CHARS_MAX } from "./link.ts";
import type { Platform } from "./platform.ts";

/** Connects by WebSocket, and by nothing else. */
export const webSocket: Connect = (...parts) => new Socket(...parts);

/** A connection under way. Browsers cannot send headers with a socket: the token is its first frame. */
class Socket implements Link {
  readonly #listener: LinkListener;
  #socket: WebSocket | undefined;
  #isOver = false;

  constructor(platform: Platform, auth: Auth, options: LinkOptions, listener: LinkListener) {
    this.#listener = listener;
    // A page may be forbidden to connect there, which platforms throw.
    this.#connect(platform, auth, options).catch(() => this.#end(() => listener.lost(undefined)));
  }

  send(frame: ClientFrame | JsonObject): void {
    if (this.#socket?.readyState === 1) {
      this.#socket.send(JSON.stringify(frame));
    }
  }

  close(): void {
    this.#isOver = true;
    this.#socket?.close();
  }

  async #connect(platform: Platform, auth: Auth, options: LinkOptions): Promise<void> {
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
      this.#listener.aside(decoded.kind === "aside" ? decoded.frame : undefined);
    }
  }

  #end(tell: () => void): void {
    if (!this.#isOver) {
      this.#isOver = true;
      tell();
    }
  }
}
