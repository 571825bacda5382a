/**
 * A device's copy of what it may see: base, outbox, and the rejected list (spec §11).
 *
 * {@link Replica} is what the functions beside it work on; every step of theirs is one {@link ReplicaWrites}, applied
 * whole or not at all. It has one owner: steps must not overlap.
 */

import type { DeploymentMode, Hello, RecordKey } from "../protocol/frames.ts";
import { targetOf } from "../protocol/frames.ts";
import { PROTO_MAX, PROTO_MIN } from "../protocol/limits.ts";
import type { Schema } from "../schema/schema.ts";
import type { ReplicaMeta, ReplicaStore, ReplicaWrites } from "./store.ts";

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
  /** Scopes were dropped or everything was wiped: any record may be gone. */
  readonly isWide: boolean;
}

export class Replica {
  readonly store: ReplicaStore;
  readonly schema: Schema;
  #meta: ReplicaMeta;
  /** By entity, see {@link pendingIds}. */
  readonly #pendingIds = new Map<string, Set<string>>();
  #listener: ((touched: Touched) => Promise<void>) | undefined;

  private constructor(store: ReplicaStore, schema: Schema, meta: ReplicaMeta) {
    this.store = store;
    this.schema = schema;
    this.#meta = meta;
  }

  /** Opens the replica in `store`; `undefined`: the store is new. */
  static async open(store: ReplicaStore, schema: Schema): Promise<Replica | undefined> {
    const held = await store.meta();
    return held && new Replica(store, schema, held);
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

  /**
   * Ids of the records of an entity that the outbox touches, and of some that it touches no more: whoever finds one of those
   * takes it out. Read from the store once, so that an edit costs the same whatever waits.
   */
  async pendingIds(entity: string): Promise<Set<string>> {
    const ids = this.#pendingIds.get(entity) ?? new Set(await this.store.pendingIds(entity));
    this.#pendingIds.set(entity, ids);
    return ids;
  }

  /** Told after every step, before the next one begins. */
  onTouched(listener: (touched: Touched) => Promise<void>): void {
    this.#listener = listener;
  }

  /** Performs one step. */
  async write(writes: ReplicaWrites): Promise<void> {
    const listener = this.#listener;
    // Replaced and deleted mutations are told apart by what they touched before.
    const before = listener === undefined ? [] : await this.#touchedBefore(writes);
    await this.store.write(writes);
    const put = (writes.outboxPut ?? []).flatMap((pending) => pending.mutation.ops.map(targetOf));
    for (const [entity, id] of put) {
      this.#pendingIds.get(entity)?.add(id);
    }
    if (writes.meta !== undefined) {
      this.#meta = writes.meta;
    }
    if (listener !== undefined) {
      const isWide = writes.wipe === true || (writes.dropScopes?.length ?? 0) > 0;
      const keys = [
        ...before,
        ...(writes.basePut ?? []).map((record): RecordKey => [record.entity, record.id]),
        ...(writes.baseDelete ?? []),
        ...put,
      ];
      if (isWide || keys.length > 0) {
        await listener({ keys, isWide });
      }
    }
  }

  async #touchedBefore(writes: ReplicaWrites): Promise<RecordKey[]> {
    const keys: RecordKey[] = [];
    for (const clientSeq of writes.outboxDelete ?? []) {
      const [pending] = await this.store.outbox(clientSeq, 1);
      if (pending?.mutation.client_seq === clientSeq) {
        keys.push(...pending.mutation.ops.map(targetOf));
      }
    }
    return keys;
  }

  /**
   * What the replica says of itself when a session opens (spec SES-2). Scopes that are being downloaded are left out:
   * their rows are not vouched for.
   */
  async hello(mode: DeploymentMode, nowMs: number): Promise<Hello> {
    const scopes = await this.store.scopes();
    const held = [...scopes].filter(([, state]) => state.loading?.how !== "snapshot");
    const [oldest] = await this.store.outbox(0, 1);
    const { meta } = this;
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
      pending_count: await this.store.outboxCount(),
      oldest_pending_age_ms: oldest === undefined ? 0 : Math.max(nowMs - oldest.authoredMs, 0),
      scopes: held.map(([id, { seq, digest }]) => ({ id, seq, digest })),
    };
  }

  /** Whether the copy may not be shown any more, because the server was not heard for the length of the offline lease. */
  isLocked(nowMs: number): boolean {
    return this.#meta.leaseUntilMs > 0 && nowMs > this.#meta.leaseUntilMs;
  }
}
