/** Connections without a WebSocket: frames down by a stream of events or by long polls, frames up by POST (spec §19). */

import { isArray, isObject, type Json, type JsonObject, member } from "../json.ts";
import { decodeFrame } from "../protocol/decode.ts";
import type { ClientFrame } from "../protocol/frames.ts";
import type { Auth } from "./auth.ts";
import { type Connect, type Link, type LinkListener, type LinkOptions, MESSAGE_CHARS_MAX } from "./link.ts";
import type { Platform } from "./platform.ts";

/** Frames of one POST (spec TRA-3), and their characters: a body holds 1 MiB. */
const POST_FRAMES_MAX = 100;
const POST_CHARS_MAX = 600_000;
/** Frames that wait to go up. Beyond, the connection ends: the session begins anew with less. */
const WAITING_MAX = 1_000;
/** How long the server may keep a poll that has nothing (spec TRA-2). */
const POLL_WAIT_MS = 20_000;
/** How long a request may take beyond that. */
const ANSWER_TIMEOUT_MS = 15_000;

/** Connects by a stream of events. */
export const eventStream: Connect = (...parts) => new Channel("stream", ...parts);
/** Connects by long polls: for where answers are not passed on before they are whole. */
export const longPoll: Connect = (...parts) => new Channel("poll", ...parts);

class Channel implements Link {
  readonly #how: "stream" | "poll";
  readonly #platform: Platform;
  readonly #options: LinkOptions;
  readonly #listener: LinkListener;
  readonly #end = new AbortController();
  readonly #waiting: string[] = [];
  #name: string | undefined;
  #isPosting = false;

  constructor(how: "stream" | "poll", platform: Platform, auth: Auth, options: LinkOptions, listener: LinkListener) {
    this.#how = how;
    this.#platform = platform;
    this.#options = options;
    this.#listener = listener;
    void this.#run(auth);
  }

  send(frame: ClientFrame | JsonObject): void {
    if (this.#name !== undefined && !this.#end.signal.aborted) {
      this.#waiting.push(JSON.stringify(frame));
      if (this.#waiting.length > WAITING_MAX) {
        this.#lose(undefined);
      } else {
        void this.#post();
      }
    }
  }

  close(): void {
    this.#end.abort();
  }

  async #run(auth: Auth): Promise<void> {
    try {
      const token = await auth.bearer(this.#options.renew);
      if (this.#end.signal.aborted) {
        return;
      }
      if (!token.ok) {
        this.#end.abort();
        this.#listener.refused(token.error);
        return;
      }
      await (this.#how === "stream" ? this.#stream(token.value) : this.#poll(token.value));
    } catch {
      // Cut off, not an answer of Syncline, or no token to be had: either way there is no connection.
      this.#lose(undefined);
    }
  }

  async #stream(token: string): Promise<void> {
    const response = await this.#fetch(this.#path("sse"), { signal: this.#end.signal });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
      if (done || this.#end.signal.aborted) {
        return this.#lose(undefined);
      }
      const events = (rest + value).split("\n\n");
      rest = events.pop() ?? "";
      if (rest.length > MESSAGE_CHARS_MAX) {
        return this.#lose(undefined);
      }
      for (const event of events) {
        this.#onEvent(event, token);
      }
    }
  }

  #onEvent(event: string, token: string): void {
    const lines = event.split("\n");
    const of = (field: string): string =>
      lines.flatMap((line) => (line.startsWith(field) ? [line.slice(field.length).replace(/^ /, "")] : [])).join("\n");
    const [name, data] = [of("event:"), of("data:")];
    switch (name) {
      case "":
        // A comment keeps the stream open and has no data.
        if (data !== "") {
          this.#onFrame(data);
        }
        return;
      case "open":
        this.#open(member(objectOf(data), "channel"), token);
        return;
      case "close":
        this.#lose(codeOf(objectOf(data)));
    }
  }

  async #poll(token: string): Promise<void> {
    const opened = await this.#fetch(this.#path("poll"), posting("{}", ANSWER_TIMEOUT_MS));
    this.#open(member(objectOf(await opened.text()), "channel"), token);
    while (!this.#end.signal.aborted) {
      const path = `/channel/${this.#name}?wait_ms=${POLL_WAIT_MS}`;
      const answer = await this.#fetch(path, posting("[]", POLL_WAIT_MS + ANSWER_TIMEOUT_MS));
      const polled = objectOf(await answer.text());
      const frames = member(polled, "frames");
      for (const frame of isArray(frames) ? frames : []) {
        this.#onFrame(JSON.stringify(frame));
      }
      const close = member(polled, "close");
      if (isObject(close)) {
        this.#lose(codeOf(close));
      }
    }
  }

  /** There is a channel: the token is its first frame, as on a WebSocket. */
  #open(channel: Json, token: string): void {
    if (typeof channel !== "string") {
      throw new Error("the answer names no channel");
    }
    if (!this.#end.signal.aborted) {
      this.#name = encodeURIComponent(channel);
      this.send({ type: "auth", token });
      this.#listener.opened();
    }
  }

  #onFrame(text: string): void {
    if (this.#end.signal.aborted) {
      return;
    }
    const decoded = decodeFrame(text);
    if (decoded.kind === "frame") {
      this.#listener.frame(decoded.frame);
    } else {
      this.#listener.aside(decoded.kind === "aside" ? decoded.frame : undefined);
    }
  }

  /** Sends what waits, one request at a time, so that frames arrive in their order. */
  async #post(): Promise<void> {
    if (this.#isPosting) {
      return;
    }
    this.#isPosting = true;
    try {
      while (this.#waiting.length > 0) {
        let [count, chars] = [0, 0];
        do {
          chars += this.#waiting[count]?.length ?? 0;
          count += 1;
        } while (count < Math.min(this.#waiting.length, POST_FRAMES_MAX) && chars < POST_CHARS_MAX);
        const frames = this.#waiting.splice(0, count);
        await this.#fetch(`/channel/${this.#name}`, posting(`[${frames.join(",")}]`, ANSWER_TIMEOUT_MS));
      }
    } catch {
      // The channel is gone, or nobody knows whether the frames arrived: replays are harmless (spec PSH-3).
      this.#lose(undefined);
    } finally {
      this.#isPosting = false;
    }
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const response = await this.#platform.fetch(this.#options.server + path, init);
    if (!response.ok) {
      throw new Error(`status ${response.status}`);
    }
    return response;
  }

  #path(how: string): string {
    return `/${how}/${this.#options.mode}/${this.#options.clientId}`;
  }

  #lose(code: number | undefined): void {
    if (!this.#end.signal.aborted) {
      this.#end.abort();
      this.#listener.lost(code);
    }
  }
}

function posting(body: string, timeoutMs: number): RequestInit {
  const headers = { "content-type": "application/json" };
  return { method: "POST", headers, body, signal: AbortSignal.timeout(timeoutMs) };
}

/** The JSON object a text holds. Throws when it holds none. */
function objectOf(text: string) {
  const value = JSON.parse(text) as Json;
  if (!isObject(value)) {
    throw new Error("not an object");
  }
  return value;
}

function codeOf(close: Json): number | undefined {
  const code = isObject(close) ? member(close, "code") : null;
  return typeof code === "number" ? code : undefined;
}
