/**
 * What a replica needs of a local store: reads, and one atomic write per step (invariant 5). All adapters pass
 * `storage/contract.ts`.
 */

import type { Digest } from "../digest.ts";
import type { Fields, Json } from "../json.ts";
import type { Mutation, Outcome, RecordKey } from "../protocol/frames.ts";

/** Why a local store failed. Nothing of the step that failed was written. */
export type StoreFailure =
  /** The disk or quota is full. */
  | "storage_full"
  /** Another tab or process took the store over. */
  | "storage_locked"
  /** The platform deleted the store while it was open. */
  | "storage_evicted"
  /** What is stored, or was to be stored, does not decode. */
  | "corrupt_local";

export class StoreError extends Error {
  readonly code: StoreFailure;

  constructor(code: StoreFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "StoreError";
    this.code = code;
  }
}

/** Who this replica is and how far it has come. One row, written whole. */
export interface ReplicaMeta {
  readonly workspaceId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly clientId: string;
  /** Server and epoch the base comes from; absent before the first sync. */
  readonly backendId?: string;
  readonly epoch?: number;
  /** Everything up to here has been applied, for every scope that is live. */
  readonly cursor: number;
  /** `client_seq` of the next local mutation. */
  readonly nextClientSeq: number;
  /** Highest `client_seq` with a known outcome. */
  readonly decidedUpto: number;
  /** Device time of the last completed sync; 0: never. */
  readonly lastSyncMs: number;
  /** Device time after which the store is locked until the server is heard again; 0: no lease yet. */
  readonly leaseUntilMs: number;
  /** Repairs by range since the replica was made. */
  readonly repairs: number;
  /** Edits of each import of earlier data that are done with: they stay when everything else is deleted. */
  readonly imports?: Readonly<Record<string, number>>;
  /** Code of why everything was deleted (spec REV-2). */
  readonly purged?: string;
}

/** A record as the server last said it is. */
export interface BaseRecord {
  readonly entity: string;
  readonly id: string;
  readonly rv: number;
  readonly scope: string;
  readonly fields: Fields;
}

/** What is held of one granted scope. */
export interface ScopeState {
  /** Everything of it up to here has been applied. 0: nothing yet. */
  readonly seq: number;
  readonly digest: Digest;
  /** A download or comparison that is under way, and where to go on after an interruption. */
  readonly loading?: Loading;
}

export type Loading =
  /** Rows come from `url`; `resume` is the token of the last page stored. */
  | {
      readonly how: "snapshot";
      readonly url: string;
      readonly seq: number;
      /** Records the scope had when it was planned. */
      readonly count?: number;
      readonly resume?: string;
    }
  /** Ranges are being compared with the server's state at `seq`. */
  | { readonly how: "reconcile"; readonly seq: number };

/** A mutation of the outbox. */
export interface Pending {
  readonly mutation: Mutation;
  /** Device time of the edit. */
  readonly authoredMs: number;
  /** Known, but its effects have not reached the base yet. */
  readonly outcome?: Outcome;
  /** Its effects are in the base already, but the outcome is not known yet: it is not part of the overlay any more. */
  readonly isInBase?: boolean;
}

/** A mutation the server refused, kept until the person decides. */
export interface Rejected {
  readonly mutation: Mutation;
  readonly authoredMs: number;
  readonly outcome: Outcome;
}

export type BaseRow = readonly [id: string, entity: string, rv: number];

export interface ReplicaStore {
  /** `undefined`: the store is new (or was evicted): a new client id must be minted. */
  meta(): Promise<ReplicaMeta | undefined>;
  /** Base records of these keys, in their order, read at one moment. */
  base(keys: readonly RecordKey[]): Promise<(BaseRecord | undefined)[]>;
  /** All base records of an entity, in no order. */
  baseAll(entity: string): Promise<BaseRecord[]>;
  /** Rows of a scope's base records in id, then entity order. */
  baseRows(scope: string): Promise<BaseRow[]>;
  /** In the order of their ids. */
  scopes(): Promise<Map<string, ScopeState>>;
  /** Outbox from `first` on in `client_seq` order, at most `limit`. */
  outbox(first: number, limit: number): Promise<Pending[]>;
  /** In order of `client_seq`, then mutation id. */
  rejected(): Promise<Rejected[]>;
  /** Acknowledged mutations from `first` on, in order. */
  acknowledged(first: number): Promise<Pending[]>;
  /** A value of this device alone: credentials, drafts, settings. */
  local(key: string): Promise<Json | undefined>;
  /** Applies all of it, durably but for what is repeatable, or nothing. Throws {@link StoreError}. */
  write(writes: ReplicaWrites): Promise<void>;
  /** Lets go of files and connections. The store is not used afterwards. */
  close(): Promise<void>;
}

/** One atomic step of a replica. Applied in the order of these members. */
export interface ReplicaWrites {
  /**
   * The server gives all of it again to whoever lacks it: a power cut may take the last of such steps, until the next that is
   * none. All others are on disk when `write` resolves.
   */
  readonly isRepeatable?: boolean;
  /** Delete everything but meta first (a purge). */
  readonly wipe?: boolean;
  /** Delete the base records of these scopes and forget the scopes. */
  readonly dropScopes?: readonly string[];
  readonly meta?: ReplicaMeta;
  readonly scopes?: readonly (readonly [scope: string, state: ScopeState])[];
  readonly basePut?: readonly BaseRecord[];
  readonly baseDelete?: readonly RecordKey[];
  /** Inserts or replaces by `client_seq`. */
  readonly outboxPut?: readonly Pending[];
  readonly outboxDelete?: readonly number[];
  /** Inserts or replaces by `client_seq` and mutation id: numbers start over with a new client id. */
  readonly rejectedPut?: readonly Rejected[];
  readonly rejectedDelete?: readonly string[];
  readonly acknowledgedPut?: readonly Pending[];
  /** Forget acknowledged mutations below this `client_seq`. */
  readonly acknowledgedTrim?: number;
  /** Forget all acknowledged mutations (a new client id). */
  readonly acknowledgedClear?: boolean;
  /** `null` deletes. */
  readonly localPut?: readonly (readonly [key: string, value: Json])[];
}

/** A step that is still being put together. */
export type DraftWrites = {
  -readonly [Name in keyof ReplicaWrites]: ReplicaWrites[Name] extends readonly (infer Item)[] | undefined
    ? Item[]
    : ReplicaWrites[Name];
};

/** A list with one item more; the list itself grows. */
export function appended<T>(list: T[] | undefined, item: T): T[] {
  if (list === undefined) {
    return [item];
  }
  list.push(item);
  return list;
}
