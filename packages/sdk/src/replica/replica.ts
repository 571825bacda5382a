/**
 * A device's copy of what it may see: base, outbox, and the rejected list (spec §11).
 *
 * {@link Replica} is what the functions beside it work on; every step of theirs is one {@link ReplicaWrites}, applied
 * whole or not at all. It has one owner: steps must not overlap.
 */

import type { DeploymentMode, Hello, RecordKey } from "../protocol/frames.ts";
import { targetOf } from "../protocol/frames.ts";
import { OUTBOX_MUTATIONS_MAX, PROTO_MAX, PROTO_MIN } from "../protocol/limits.ts";
import type { Schema } from "../schema/schema.ts";
import { Outbox } from "./outbox.ts";
import { nameOf } from "./step.ts";
import type { BaseRecord, ReplicaMeta, ReplicaStore, ReplicaWrites } from "./store.ts";

/** Whose replica a new store becomes. */
export interface ReplicaIdentity {
  readonly workspaceId: string;
  readonly userId: string;
  readonly deviceId: string;
  /** Minted by the caller. */
  readonly clientId: string;
}

/** What a step may have changed of what screens show. */
export interface Touched {
  readonly keys: readonly RecordKey[];
  /** Base records that the step put or deleted, by name. */
  readonly base: ReadonlyMap<string, BaseRecord | undefined>;
  /** Scopes were dropped or everything was wiped: any record may be gone. */
  readonly isWide: boolean;
  /** Part of a download: many more such steps come at once. */
  readonly isLoading: boolean;
}

export class Replica {
  readonly store: ReplicaStore;
  readonly schema: Schema;
  /** What the store has of it, read once, so that an edit costs the same whatever waits. Changed by {@link write} alone. */
  readonly outbox = new Outbox();
  #meta: ReplicaMeta;
  #listener: ((touched: Touched) => Promise<void>) | undefined;

  private constructor(store: ReplicaStore, schema: Schema, meta: ReplicaMeta) {
    this.store = store;
    this.schema = schema;
    this.#meta = meta;
  }

  /** Opens the replica in `store`; `undefined`: the store is new. */
  static async open(store: ReplicaStore, schema: Schema): Promise<Replica | undefined> {
    const held = await store.meta();
    const replica = held && new Replica(store, schema, held);
    for (const pending of replica === undefined ? [] : await store.outbox(0, OUTBOX_MUTATIONS_MAX)) {
      replica?.outbox.set(pending);
    }
    return replica;
  }

  /** Makes the store somebody's replica. Whatever it held is deleted, but for what was imported. */
  static async create(store: ReplicaStore, schema: Schema, identity: ReplicaIdentity): Promise<Replica> {
    const { imports } = (await store.meta()) ?? {};
    const meta: ReplicaMeta = {
      ...(imports && { imports }),
      ...identity,
      cursor: 0,
      nextClientSeq: 1,
      decidedUpto: 0,
      lastSyncMs: 0,
      leaseUntilMs: 0,
      repairs: 0,
    };
    await store.write({ wipe: true, meta });
    return new Replica(store, schema, meta);
  }

  get meta(): ReplicaMeta {
    return this.#meta;
  }

  /** Told after every step, before the next one begins. */
  onTouched(listener: (touched: Touched) => Promise<void>): void {
    this.#listener = listener;
  }

  /** Performs one step. */
  async write(writes: ReplicaWrites): Promise<void> {
    await this.store.write(writes);
    const { outbox } = this;
    const { outboxPut = [], outboxDelete = [], basePut = [], baseDelete = [] } = writes;
    // Replaced and deleted mutations are told apart by what they touched before.
    const before = outboxDelete.flatMap((clientSeq) => outbox.get(clientSeq) ?? []);
    if (writes.wipe === true) {
      outbox.clear();
    }
    outboxPut.forEach((pending) => void outbox.set(pending));
    outboxDelete.forEach((clientSeq) => void outbox.delete(clientSeq));
    this.#meta = writes.meta ?? this.#meta;
    const keys = [...before, ...outboxPut].flatMap(({ mutation }) => mutation.ops.map(targetOf));
    const base = new Map<string, BaseRecord | undefined>();
    for (const record of basePut) {
      keys.push([record.entity, record.id]);
      base.set(nameOf([record.entity, record.id]), record);
    }
    for (const key of baseDelete) {
      keys.push(key);
      base.set(nameOf(key), undefined);
    }
    const isWide = writes.wipe === true || (writes.dropScopes?.length ?? 0) > 0;
    const isLoading =
      writes.meta === undefined && (writes.scopes ?? []).some(([, { loading }]) => loading?.how === "snapshot");
    await this.#listener?.({ keys, base, isWide, isLoading });
  }

  /**
   * What the replica says of itself when a session opens (spec SES-2). Scopes that are being downloaded are left out:
   * their rows are not vouched for.
   */
  async hello(mode: DeploymentMode, nowMs: number): Promise<Hello> {
    const scopes = await this.store.scopes();
    const held = [...scopes].filter(([, state]) => state.loading?.how !== "snapshot");
    const { meta, outbox } = this;
    const [oldest] = outbox.from(0, 1);
    return {
      type: "hello",
      proto: [PROTO_MIN, PROTO_MAX],
      client_id: meta.clientId,
      device_id: meta.deviceId,
      deployment_mode: mode,
      schema: { version: this.schema.version, hash: this.schema.hash },
      ...(meta.backendId !== undefined && { backend_id: meta.backendId }),
      ...(meta.epoch !== undefined && { epoch: meta.epoch }),
      next_client_seq: meta.decidedUpto + 1,
      pending_count: outbox.size,
      oldest_pending_age_ms: oldest === undefined ? 0 : Math.max(nowMs - oldest.authoredMs, 0),
      scopes: held.map(([id, { seq, digest }]) => ({ id, seq, digest })),
    };
  }

  /** Whether the copy may not be shown any more, because the server was not heard for the length of the offline lease. */
  isLocked(nowMs: number): boolean {
    return this.#meta.leaseUntilMs > 0 && nowMs > this.#meta.leaseUntilMs;
  }
}
