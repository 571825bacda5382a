/** The tab that leads: it has the client, answers the others, and shows them their live queries. */

import type { Client } from "../client/client.ts";
import { worksIn } from "../client/works.ts";
import { LOOKS_MAX, lookoutOf } from "../presence/lookout.ts";
import type { LiveQuery, LiveState } from "../views/live.ts";
import type { Broadcast, Method, Reply, Request } from "./messages.ts";

/** Live queries of other tabs. More are not opened: a tab that opens them without end must not fill this one. */
const LIVE_MAX = 1_000;

/** How a leader is heard. */
export interface Speaker {
  all(message: Broadcast): void;
  to(tab: string, message: Reply): void;
}

interface Opened {
  readonly tab: string;
  readonly stop: () => void;
}

export class Leader {
  readonly client: Client<never>;
  readonly #speaker: Speaker;
  readonly #live = new Map<string, Opened>();
  /** Calls under way. */
  readonly #running = new Set<string>();
  /** Tabs by the screens of theirs that look at a record. */
  readonly #watchers = new Map<string, string>();
  readonly #stopEvents: () => void;

  constructor(client: Client<never>, speaker: Speaker) {
    this.client = client;
    this.#speaker = speaker;
    this.#stopEvents = client.onEvent((event) => {
      if (event.event === "signed_in" || event.event === "purged") {
        this.#tellWho();
      }
      if (event.event !== "store_failed") {
        speaker.all({ kind: "event", event });
      } else if (event.error.code !== "storage_locked") {
        // A store that another tab took over is well, and that tab leads.
        const { code, message } = event.error;
        speaker.all({ kind: "store_failed", code, message });
      }
    });
  }

  /** Takes a message of another tab. */
  take(message: Request): void {
    switch (message.kind) {
      case "hello":
        this.#tellWho();
        return;
      case "call":
        void this.#answer(message);
        return;
      case "still":
        if (this.#running.has(message.call)) {
          this.#speaker.to(message.tab, { kind: "taken", call: message.call });
        }
        return;
      case "open":
        this.#open(message);
        return;
      case "close":
        this.#close(message.live);
        return;
      case "look":
        this.#look(message);
    }
  }

  /** Runs a method or a work of the client. */
  run(method: Extract<Request, { kind: "call" }>["method"], args: readonly unknown[]): Promise<unknown> {
    const works = worksIn(this.client);
    const of = Object.hasOwn(works, method) ? works : this.client;
    const run = (of as unknown as Record<string, (...args: readonly unknown[]) => Promise<unknown>>)[method];
    return run?.apply(of, [...args]) ?? Promise.reject(new Error(`there is no ${method}`));
  }

  /** A tab has gone without a word: its live queries are closed, and it looks at nothing. */
  forget(tab: string): void {
    for (const [live, opened] of [...this.#live]) {
      if (opened.tab === tab) {
        this.#close(live);
      }
    }
    for (const [watcher, of] of [...this.#watchers]) {
      if (of === tab) {
        this.#look({ kind: "look", tab, watcher });
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

  #tellWho(): void {
    const { credentials, isReady } = this.client;
    if (credentials === undefined) {
      this.#speaker.all({ kind: "who", isReady });
      return;
    }
    const { email, workspaceId, userId, deviceId, role } = credentials;
    this.#speaker.all({ kind: "who", isReady, person: { email, workspaceId, userId, deviceId, role } });
  }

  async #answer({ tab, call, method, args }: Extract<Request, { kind: "call" }>): Promise<void> {
    const { to } = this.#speaker;
    this.#running.add(call);
    to(tab, { kind: "taken", call });
    try {
      to(tab, { kind: "answer", call, value: await this.run(method, args) });
    } catch (error) {
      to(tab, { kind: "failure", call, message: error instanceof Error ? error.message : String(error) });
    } finally {
      this.#running.delete(call);
    }
  }

  #open({ tab, live, entity, query }: Extract<Request, { kind: "open" }>): void {
    // Before somebody has signed in there is nothing to show; signing in makes the tabs ask again.
    if (this.#live.has(live) || this.#live.size >= LIVE_MAX || !this.client.isReady) {
      return;
    }
    const opened: LiveQuery = this.client.live(entity, query);
    let told: LiveState | undefined;
    const stop = opened.subscribe(() => {
      const state = opened.snapshot();
      this.#speaker.to(tab, told === undefined ? { kind: "state", live, state } : changeOf(live, told, state));
      told = state;
    });
    this.#live.set(live, { tab, stop });
  }

  #close(live: string): void {
    this.#live.get(live)?.stop();
    this.#live.delete(live);
  }

  #look({ tab, watcher, look }: Extract<Request, { kind: "look" }>): void {
    if (look === undefined) {
      this.#watchers.delete(watcher);
    } else if (this.#watchers.size < LOOKS_MAX) {
      this.#watchers.set(watcher, tab);
    } else {
      return;
    }
    lookoutOf(this.client).look(watcher, look, (seen) => this.#speaker.to(tab, { kind: "seen", watcher, seen }));
  }
}

/** Methods that take ids of mutations with the argument of this number, and after it whether they are new. */
export const NAMED_BY: Readonly<Partial<Record<Method | string, number>>> = {
  mutate: 1,
  resendRejected: 2,
  mutateSome: 0,
};

/** What tells a tab of a new state: the rows between those at both ends that stayed, or all of them. */
function changeOf(live: string, told: LiveState, state: LiveState): Reply {
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
