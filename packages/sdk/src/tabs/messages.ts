/** What tabs of one device say to one another over a `BroadcastChannel`. */

import type { Person } from "../client/any.ts";
import type { Client, ClientEvent } from "../client/client.ts";
import type { Works } from "../client/works.ts";
import type { Look, Seen } from "../presence/lookout.ts";
import type { StoreFailure } from "../replica/store.ts";
import type { LiveState } from "../views/live.ts";
import type { Query } from "../views/query.ts";

/** Calls a follower may ask the leader for. Each may be asked twice: see `TabClient`. */
export type Method = keyof Pick<
  Client,
  | "signIn"
  | "signOut"
  | "token"
  | "start"
  | "pause"
  | "mutate"
  | "get"
  | "select"
  | "rejected"
  | "discardRejected"
  | "resendRejected"
  | "status"
>;

/** To all tabs. */
export type Broadcast =
  /** A tab leads from now on: live queries are opened anew there. */
  | { readonly kind: "leader"; readonly tab: string }
  /** Who is signed in, as the leader has it. */
  | { readonly kind: "who"; readonly isReady: boolean; readonly person?: Person }
  | { readonly kind: "event"; readonly event: Exclude<ClientEvent, { event: "store_failed" }> }
  /** What no channel carries whole: an error of a class of ours. */
  | { readonly kind: "store_failed"; readonly code: StoreFailure; readonly message: string };

/** To the leader, whichever tab that is. */
export type Request =
  /** A tab is there and follows. */
  | { readonly kind: "hello"; readonly tab: string }
  | {
      readonly kind: "call";
      readonly tab: string;
      readonly call: string;
      readonly method: Method | keyof Works;
      readonly args: unknown[];
    }
  /** Whether a call is still being worked on: no answer says that it is not, or that nobody leads. */
  | { readonly kind: "still"; readonly tab: string; readonly call: string }
  | {
      readonly kind: "open";
      readonly tab: string;
      readonly live: string;
      readonly entity: string;
      readonly query: Query;
    }
  | { readonly kind: "close"; readonly live: string }
  /** What a screen of the tab looks at; absent: no record any more. */
  | { readonly kind: "look"; readonly tab: string; readonly watcher: string; readonly look?: Look };

/** To one tab, on its own channel. */
export type Reply =
  /** The call has arrived and is worked on: the answer may take as long as a network does. */
  | { readonly kind: "taken"; readonly call: string }
  | { readonly kind: "answer"; readonly call: string; readonly value: unknown }
  /** The call threw: a bug, or a store that is broken. */
  | { readonly kind: "failure"; readonly call: string; readonly message: string }
  | { readonly kind: "state"; readonly live: string; readonly state: LiveState }
  /** Of the rows that were told last, `removed` from `from` on are replaced by `rows`; there were `before` of them. */
  | {
      readonly kind: "splice";
      readonly live: string;
      readonly before: number;
      readonly from: number;
      readonly removed: number;
      readonly rows: LiveState["rows"];
    }
  | { readonly kind: "seen"; readonly watcher: string; readonly seen: Seen };
