/** Frames. Each is a JSON object with a `type` member; every name is the glossary's (ARCHITECTURE.md). */

import type { Digest } from "../digest.ts";
import type { Fields } from "../json.ts";
import type { Code, Problem } from "./codes.ts";

/** Where the SDK runs (spec SES-1). */
export type DeploymentMode = "web_app" | "browser_extension" | "local_install" | "mobile_app";

/**
 * A field-level change of one record as its author meant it (spec MUT-2). `base_rv` is the record's rv in the replica's
 * base when the op was authored: everything the record's history holds up to there had been seen.
 */
export type Op =
  | { readonly op: "create"; readonly entity: string; readonly id: string; readonly fields: Fields }
  | {
      readonly op: "update";
      readonly entity: string;
      readonly id: string;
      readonly base_rv: number;
      readonly fields: Fields;
    }
  | { readonly op: "delete"; readonly entity: string; readonly id: string; readonly base_rv: number }
  | {
      readonly op: "restore";
      readonly entity: string;
      readonly id: string;
      readonly base_rv: number;
      readonly fields?: Fields;
    }
  | {
      readonly op: "resolve";
      readonly id: string;
      readonly base_rv: number;
      readonly resolution: Resolution;
      readonly fields?: Fields;
    };

/** `mine` is the side of the mutation that met the conflict, `theirs` what the server had. */
export type Resolution = "use_mine" | "use_theirs" | "custom";

/** Name of the entity whose records are conflicts. */
export const CONFLICTS = "conflicts";

/** The entity and record an op names; for `resolve` the conflict. */
export function targetOf(op: Op): RecordKey {
  return op.op === "resolve" ? [CONFLICTS, op.id] : [op.entity, op.id];
}

/** Entity and id. */
export type RecordKey = readonly [entity: string, id: string];

/** One user intent: applied all or nothing (spec MUT-1). */
export interface Mutation {
  readonly mutation_id: string;
  /** From 1, contiguous per client. */
  readonly client_seq: number;
  /** Now − edit time on the device's clock when the frame is made (spec CLK-1). */
  readonly age_ms: number;
  readonly ops: readonly Op[];
  /** Earlier mutations whose creations this one builds on: if one was rejected, so is this. */
  readonly depends_on?: readonly number[];
}

export type OutcomeKind = "applied" | "merged" | "superseded" | "in_review" | "rejected";

/** The durable answer to a mutation; never changes once stored (spec OUT-1). */
export interface Outcome {
  readonly client_seq: number;
  readonly mutation_id: string;
  readonly outcome: OutcomeKind;
  readonly code?: Code;
  /** What is wrong and what to do, for a person. */
  readonly detail?: string;
  readonly conflict_ids?: readonly string[];
  /** Where its effects lie in the log; for one without effects the head when it was decided. */
  readonly seq: number;
}

export interface SchemaRef {
  readonly version: number;
  readonly hash: string;
}

export interface Hello {
  readonly type: "hello";
  /** Lowest and highest protocol version spoken. */
  readonly proto: readonly [number, number];
  readonly client_id: string;
  readonly device_id: string;
  readonly deployment_mode: DeploymentMode;
  readonly schema: SchemaRef;
  /** Server the replica was filled from; absent when it is empty. */
  readonly backend_id?: string;
  readonly epoch?: number;
  /** First `client_seq` without a known outcome. */
  readonly next_client_seq: number;
  readonly pending_count: number;
  readonly oldest_pending_age_ms: number;
  readonly scopes: readonly HeldScope[];
}

export interface HeldScope {
  readonly id: string;
  /** Everything of the scope up to here has been applied. */
  readonly seq: number;
  readonly digest: Digest;
}

/** Records of a scope with `lo <= id <= hi`, over all entities. */
export interface Range {
  readonly lo: string;
  readonly hi: string;
  readonly digest: Digest;
}

export type ClientFrame =
  | { readonly type: "auth"; readonly token: string }
  | Hello
  | { readonly type: "push"; readonly mutations: readonly Mutation[] }
  | { readonly type: "ack"; readonly seq: number; readonly outcomes_upto: number }
  | { readonly type: "verify"; readonly scope: string; readonly ranges: readonly Range[] }
  | { readonly type: "fetch"; readonly scope: string; readonly records: readonly RecordKey[] }
  | { readonly type: "heartbeat" };

export interface Welcome {
  readonly type: "welcome";
  /** Version both will speak. */
  readonly proto: number;
  readonly connection_id: string;
  readonly backend_id: string;
  readonly epoch: number;
  readonly server_ms: number;
  /** Highest `client_seq` of this client the server has decided. */
  readonly applied_client_seq: number;
  readonly head: number;
  readonly schema: SchemaRef;
  readonly heartbeat_ms: number;
  /** Push frames that may be unanswered. */
  readonly window: number;
  /** Every granted scope with its plan; a held scope that is not listed is dropped. */
  readonly scopes: readonly ScopePlan[];
  /** After this moment without contact the local store is locked. */
  readonly lease_until_ms: number;
  readonly user_id: string;
  readonly role: string;
}

export interface ScopePlan {
  readonly id: string;
  readonly plan: SyncPlan;
}

/** How one scope gets from where the replica is to live. */
export type SyncPlan =
  | { readonly how: "resume" }
  | { readonly how: "catch_up"; readonly from: number; readonly to: number }
  | { readonly how: "reconcile"; readonly seq: number }
  | { readonly how: "snapshot"; readonly url: string; readonly seq: number; readonly count: number };

/** Changes between `from` (exclusive) and `to` (inclusive) (spec §10). */
export interface Batch {
  readonly type: "batch";
  readonly from: number;
  readonly to: number;
  /** Coalesced per record, rather than the log's entries. */
  readonly catch_up?: boolean;
  readonly more?: boolean;
  readonly changes: readonly WireChange[];
  /** Digest at `to` of every scope the batch touches. */
  readonly digests?: readonly (readonly [scope: string, digest: Digest])[];
}

export interface WireChange {
  /** Client and `client_seq` of the mutation; absent in a catch-up. */
  readonly by?: readonly [clientId: string, clientSeq: number];
  readonly ops: readonly WireOp[];
}

export interface Put {
  readonly op: "put";
  readonly entity: string;
  readonly id: string;
  readonly rv: number;
  readonly scope: string;
  readonly fields: Fields;
}

/** What a replica does to one record of its base (spec BAT-2). */
export type WireOp =
  | Put
  | {
      readonly op: "patch";
      readonly entity: string;
      readonly id: string;
      readonly rv: number;
      readonly scope?: string;
      readonly fields: Fields;
    }
  | { readonly op: "del"; readonly entity: string; readonly id: string; readonly rv: number }
  | { readonly op: "leave"; readonly entity: string; readonly id: string };

/** Answer to `verify`, all of it read at `seq`. Ranges whose digests agree are not mentioned. */
export interface VerifyReply {
  readonly type: "verify_reply";
  readonly scope: string;
  readonly seq: number;
  /** Sub-ranges of large differing ranges, to be compared next. */
  readonly split?: readonly Range[];
  /** Small differing ranges with all their rows. */
  readonly rows?: readonly RangeRows[];
}

export interface RangeRows {
  readonly lo: string;
  readonly hi: string;
  /** In id order. */
  readonly rows: readonly (readonly [entity: string, id: string, rv: number])[];
}

export type ServerFrame =
  | Welcome
  | { readonly type: "grant"; readonly scope: string; readonly action: "add" | "remove"; readonly reason: string }
  | Batch
  | { readonly type: "outcomes"; readonly outcomes: readonly Outcome[] }
  | { readonly type: "out_of_order"; readonly expected: number }
  | VerifyReply
  | {
      readonly type: "records";
      readonly scope: string;
      readonly seq: number;
      /** How many of the records asked for are answered; the others are asked for again. */
      readonly answered: number;
      readonly records: readonly WireOp[];
    }
  | { readonly type: "heartbeat_ack"; readonly server_ms: number }
  | { readonly type: "slow_down"; readonly retry_ms: number }
  | { readonly type: "sync_now"; readonly entities: readonly string[] }
  | { readonly type: "goodbye"; readonly retry_ms: number; readonly reason: string }
  | { readonly type: "purge"; readonly code: Code; readonly reason: string }
  | { readonly type: "error"; readonly problem: Problem };
