/** What tabs of one device say to one another over a `BroadcastChannel`. */

import type { ClientEvent } from "../client/client.ts";
import type { LiveState } from "../views/live.ts";
import type { Query } from "../views/query.ts";

/** Calls a follower may ask the leader for. Each may be asked twice: see `TabClient`. */
export type Method =
  | "signIn"
  | "signOut"
  | "token"
  | "mutate"
  | "get"
  | "select"
  | "rejected"
  | "discardRejected"
  | "resendRejected"
  | "status";

export type Message =
  /** A tab leads from now on: live queries are opened anew there. */
  | { readonly kind: "leader"; readonly tab: string }
  /** A tab is there and follows. */
  | { readonly kind: "hello"; readonly tab: string }
  | {
      readonly kind: "call";
      readonly tab: string;
      readonly call: string;
      readonly method: Method;
      readonly args: unknown[];
    }
  | { readonly kind: "answer"; readonly call: string; readonly value: unknown }
  /** The call threw: a bug, or a store that is broken. */
  | { readonly kind: "failure"; readonly call: string; readonly message: string }
  | {
      readonly kind: "open";
      readonly tab: string;
      readonly live: string;
      readonly entity: string;
      readonly query: Query;
    }
  | { readonly kind: "close"; readonly live: string }
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
  | { readonly kind: "event"; readonly event: Exclude<ClientEvent, { event: "store_failed" }> };
