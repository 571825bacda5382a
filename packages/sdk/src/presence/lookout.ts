/**
 * What the person of this device looks at, told to the server, and who else looks at it (spec PRE-1, PRE-2).
 *
 * A connection looks at one record. When several screens show records, also in several tabs, the one that is being edited
 * counts, else the last that was opened: the others learn nothing until it goes.
 */

import type { Client } from "../client/client.ts";
import { isArray, isObject, type Json, type JsonObject, member } from "../json.ts";
import type { DeploymentMode, RecordKey } from "../protocol/frames.ts";

/** A record on a screen. */
export interface Look {
  readonly record: RecordKey;
  readonly isEditing: boolean;
}

/** One connection of somebody else, or of this person on another device, that shows the record. */
export interface Viewer {
  readonly connectionId: string;
  readonly userId: string;
  readonly deploymentMode: DeploymentMode;
  readonly isEditing: boolean;
  /** On the server's clock. */
  readonly sinceMs: number;
}

/** Who looks at a record. A new object for every change. */
export type Seen =
  /** Nobody can say: there is no connection, another record is being watched, or the server does not have this one. */
  | { readonly state: "unknown"; readonly viewers: readonly Viewer[] }
  | { readonly state: "known"; readonly viewers: readonly Viewer[] };

export const UNKNOWN: Seen = { state: "unknown", viewers: [] };

/** Takes what screens look at, whether it has the connection or asks the tab that has it. */
export interface Lookouts {
  /** `watcher`: names the screen, and nothing else ever. Without `look` it shows the record no more. */
  look(watcher: string, look: Look | undefined, tell: (seen: Seen) => void): void;
}

/** Screens at once. More are not watched: an app that opens them without end must not fill the page. */
export const LOOKS_MAX = 1_000;
/** Least time until the server is asked again for a record it did not have: it may be in the outbox still. */
const ASK_AGAIN_MS = 2_000;

interface Watcher {
  readonly look: Look;
  readonly tell: (seen: Seen) => void;
}

class Lookout implements Lookouts {
  readonly #send: (frame: JsonObject) => void;
  /** By name; the last that was opened comes last. */
  readonly #watchers = new Map<string, Watcher>();
  /** What the server was told on this connection. */
  #told: Look | undefined;
  #seen: Seen = UNKNOWN;
  #connectionId: string | undefined;
  /** Asks again for a record the server did not have. */
  #again: ReturnType<typeof setTimeout> | undefined;
  #isRefused = false;

  constructor(client: Client<never>) {
    this.#send = client.aside((frame) => this.#take(frame)).send;
    client.onEvent(({ event }) => {
      const isNew = event === "connected" || client.connectionId !== this.#connectionId;
      this.#connectionId = client.connectionId;
      if (isNew) {
        // A connection begins without anything, and one that greets again may have lost what it knew.
        this.#told = undefined;
        this.#show(UNKNOWN);
        this.#say();
      } else if (event === "changed" && this.#isRefused) {
        this.#again ??= setTimeout(() => this.#askAgain(), ASK_AGAIN_MS);
      }
    });
    this.#connectionId = client.connectionId;
  }

  look(watcher: string, look: Look | undefined, tell: (seen: Seen) => void): void {
    this.#watchers.delete(watcher);
    if (look !== undefined && this.#watchers.size < LOOKS_MAX) {
      this.#watchers.set(watcher, { look, tell });
    }
    this.#say();
    if (this.#watchers.has(watcher)) {
      tell(isSame(look, this.#told) ? this.#seen : UNKNOWN);
    }
  }

  /** Tells the server what counts now, if that is news. */
  #say(): void {
    const looks = [...this.#watchers.values()].map(({ look }) => look);
    const next = looks.findLast(({ isEditing }) => isEditing) ?? looks.at(-1);
    if (this.#connectionId === undefined || JSON.stringify(next) === JSON.stringify(this.#told)) {
      return;
    }
    const isOther = !isSame(next, this.#told);
    this.#told = next;
    this.#isRefused = false;
    if (isOther) {
      this.#show(UNKNOWN);
    }
    this.#send({ type: "presence", ...(next !== undefined && { record: next.record, is_editing: next.isEditing }) });
  }

  #askAgain(): void {
    this.#again = undefined;
    if (this.#isRefused) {
      this.#told = undefined;
      this.#say();
    }
  }

  #take(frame: JsonObject): boolean {
    const record = member(frame, "record");
    switch (member(frame, "type")) {
      case "presence":
        if (isArray(record) && this.#told?.record.join(" ") === record.join(" ")) {
          this.#show(seenOf(member(frame, "viewers"), this.#connectionId));
        }
        return true;
      case "error": {
        const problem = member(frame, "problem");
        const isOurs = isObject(problem) && member(problem, "entity") === this.#told?.record[0];
        this.#isRefused ||= isOurs;
        return isOurs;
      }
      default:
        return false;
    }
  }

  #show(seen: Seen): void {
    this.#seen = seen;
    for (const { look, tell } of [...this.#watchers.values()]) {
      tell(isSame(look, this.#told) ? seen : UNKNOWN);
    }
  }
}

const lookouts = new WeakMap<Client<never>, Lookouts>();

/** The one lookout of a client. */
export function lookoutOf(client: Client<never>): Lookouts {
  const lookout = lookouts.get(client) ?? new Lookout(client);
  lookouts.set(client, lookout);
  return lookout;
}

function isSame(a: Look | undefined, b: Look | undefined): boolean {
  return a?.record.join(" ") === b?.record.join(" ");
}

/** The list without this connection. One that lacks even this one says that the record may not be seen any more. */
function seenOf(viewers: Json, own: string | undefined): Seen {
  const all = (isArray(viewers) ? viewers : []).flatMap((viewer) => (isObject(viewer) ? [viewerOf(viewer)] : []));
  return all.length === 0
    ? UNKNOWN
    : { state: "known", viewers: all.filter(({ connectionId }) => connectionId !== own) };
}

function viewerOf(viewer: JsonObject): Viewer {
  return {
    connectionId: String(member(viewer, "connection_id")),
    userId: String(member(viewer, "user_id")),
    deploymentMode: String(member(viewer, "deployment_mode")) as DeploymentMode,
    isEditing: member(viewer, "is_editing") === true,
    sinceMs: Number(member(viewer, "since_ms")),
  };
}
