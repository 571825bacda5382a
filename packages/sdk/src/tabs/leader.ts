/** The tab that leads: it has the client, answers the others, and shows them their live queries. */

import type { Client } from "../client/client.ts";
import type { LiveQuery, LiveState } from "../views/live.ts";
import type { Message } from "./messages.ts";

/** Live queries of other tabs. More are not opened: a tab that opens them without end must not fill this one. */
const LIVE_MAX = 1_000;

interface Opened {
  readonly tab: string;
  readonly stop: () => void;
}

export class Leader {
  readonly client: Client<never>;
  readonly #send: (message: Message) => void;
  readonly #live = new Map<string, Opened>();
  readonly #stopEvents: () => void;

  constructor(client: Client<never>, send: (message: Message) => void) {
    this.client = client;
    this.#send = send;
    this.#stopEvents = client.onEvent((event) => {
      if (event.event !== "store_failed") {
        send({ kind: "event", event });
      }
    });
  }

  /** Takes a message of another tab. */
  take(message: Message): void {
    switch (message.kind) {
      case "call":
        void this.#answer(message);
        return;
      case "open":
        this.#open(message);
        return;
      case "close":
        this.#close(message.live);
        return;
      case "leader":
      case "hello":
      case "answer":
      case "failure":
      case "state":
      case "splice":
      case "event":
    }
  }

  /** A tab has gone without a word: its live queries are closed. */
  forget(tab: string): void {
    for (const [live, opened] of [...this.#live]) {
      if (opened.tab === tab) {
        this.#close(live);
      }
    }
  }

  async close(): Promise<void> {
    this.#stopEvents();
    for (const live of [...this.#live.keys()]) {
      this.#close(live);
    }
    await this.client.close();
  }

  async #answer({ call, method, args }: Extract<Message, { kind: "call" }>): Promise<void> {
    try {
      const run = this.client[method] as (...args: unknown[]) => Promise<unknown>;
      this.#send({ kind: "answer", call, value: await run.apply(this.client, args) });
    } catch (error) {
      this.#send({ kind: "failure", call, message: error instanceof Error ? error.message : String(error) });
    }
  }

  #open({ tab, live, entity, query }: Extract<Message, { kind: "open" }>): void {
    // Before somebody has signed in there is nothing to show; signing in makes the tabs ask again.
    if (this.#live.has(live) || this.#live.size >= LIVE_MAX || !this.client.isReady) {
      return;
    }
    const opened: LiveQuery = this.client.live(entity, query);
    let told: LiveState | undefined;
    const stop = opened.subscribe(() => {
      const state = opened.snapshot();
      this.#send(told === undefined ? { kind: "state", live, state } : changeOf(live, told, state));
      told = state;
    });
    this.#live.set(live, { tab, stop });
  }

  #close(live: string): void {
    this.#live.get(live)?.stop();
    this.#live.delete(live);
  }
}

/** What tells a tab of a new state: the rows between those at both ends that stayed, or all of them. */
function changeOf(live: string, told: LiveState, state: LiveState): Message {
  if (told.state !== state.state) {
    return { kind: "state", live, state };
  }
  const [old, rows] = [told.rows, state.rows];
  const most = Math.min(old.length, rows.length);
  let from = 0;
  while (from < most && old[from] === rows[from]) {
    from += 1;
  }
  let after = 0;
  while (after < most - from && old[old.length - 1 - after] === rows[rows.length - 1 - after]) {
    after += 1;
  }
  const removed = old.length - after - from;
  return { kind: "splice", live, before: old.length, from, removed, rows: rows.slice(from, rows.length - after) };
}
