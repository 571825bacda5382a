/** What a program uses of a device, whether this page has the client itself or asks the tab that has it. */

import type { Lookouts } from "../presence/lookout.ts";
import type { Credentials } from "./auth.ts";
import type { Client } from "./client.ts";
import type { EntityTypes } from "./entity.ts";
import type { Works } from "./works.ts";

/** Who is signed in, without what proves it. */
export type Person = Pick<Credentials, "email" | "workspaceId" | "userId" | "deviceId" | "role">;

/** Both `Client` and `TabClient` are one: hooks, drafts, settings, imports, metrics and presence work with either. */
export interface AnyClient<Types = Record<string, EntityTypes>>
  extends Pick<
    Client<Types>,
    | "db"
    | "isReady"
    | "signIn"
    | "signOut"
    | "token"
    | "start"
    | "pause"
    | "mutate"
    | "get"
    | "select"
    | "live"
    | "resolve"
    | "undo"
    | "rejected"
    | "discardRejected"
    | "resendRejected"
    | "status"
    | "onEvent"
    | "mintId"
  > {
  readonly credentials: Person | undefined;
  /** Of a client in another tab; absent: this is the client. */
  readonly works?: Works;
  readonly lookouts?: Lookouts;
}
