/** A device: its replica, who is signed in on it, and the loop that keeps it in step with the server. */

import { type Fields, type JsonObject, jsonEquals, member } from "../json.ts";
import { CONFLICTS, type DeploymentMode, type Resolution } from "../protocol/frames.ts";
import {
  type Drafted,
  discardRejected,
  type Edit,
  findMutations,
  type LocalError,
  localError,
  mutate,
  resendRejected,
  type Stamp,
} from "../replica/edit.ts";
import { Replica } from "../replica/replica.ts";
import { purge } from "../replica/scopes.ts";
import {
  type Rejected,
  type ReplicaMeta,
  type ReplicaStore,
  type ScopeState,
  StoreError,
  type StoreFailure,
} from "../replica/store.ts";
import { type Viewed, viewOf } from "../replica/view.ts";
import { err, ok, type Result } from "../result.ts";
import type { SchemaDeclaration } from "../schema/declaration.ts";
import { type Formats, readSchema, type Schema } from "../schema/schema.ts";
import type { SessionEvent } from "../session/state.ts";
import type { LiveQuery } from "../views/live.ts";
import type { Query } from "../views/query.ts";
import { Views } from "../views/views.ts";
import { Auth, type Credentials, type Failure, type Renew, type SignIn } from "./auth.ts";
import { EntityApi, type EntityTypes } from "./entity.ts";
import type { Connect } from "./link.ts";
import { callAll } from "./listeners.ts";
import { SyncLoop } from "./loop.ts";
import { mintId, type Platform, platformWith } from "./platform.ts";
import { Serial } from "./serial.ts";
import { webSocket } from "./socket.ts";

export interface ClientOptions {
  /** Base address of the server, `https://crm.example.com`. */
  readonly server: string;
  readonly schema: SchemaDeclaration;
  /** Checks of text formats on the device; without them the server alone checks formats. */
  readonly formats?: Formats;
  /** Opens the local store, for example `indexedDb({ name: "crm" })`. */
  readonly store: (schema: Schema) => Promise<ReplicaStore>;
  readonly mode: DeploymentMode;
  /** How the device is called in the list of devices, 1 to 100 characters. */
  readonly deviceName: string;
  readonly platform?: Partial<Platform>;
  /** How to connect; a WebSocket when not given. `fallback()` of `@syncline/sdk/fallback` gets through where none does. */
  readonly connect?: Connect;
}

/** Why everything was deleted, when the person did it. */
const SIGNED_OUT = "signed_out";

/** What a client tells its listeners. */
export type ClientEvent =
  | SessionEvent
  /** Somebody signed in: there is a replica now. */
  | { readonly event: "signed_in" }
  /** Local mutations were taken into the outbox in one step: as a rule one. */
  | { readonly event: "local_change" }
  /** A download came further: {@link Status.loading} says how far. */
  | { readonly event: "loading" }
  /** A message of the server that is of a later version or does not follow the spec was ignored. */
  | { readonly event: "frame_ignored" }
  | { readonly event: "store_failed"; readonly error: StoreError }
  /** In several tabs: the one that leads has said who is signed in. */
  | { readonly event: "leader_heard" };

/** Whether and how far the device is in step with the server. */
export interface Status {
  readonly phase: SyncLoop["phase"];
  /** Who this replica is and how far it has come; absent until somebody has signed in. */
  readonly meta?: ReplicaMeta;
  readonly pending: number;
  readonly rejected: number;
  /** The device was offline longer than it may be: nothing is shown until the server is heard. */
  readonly isLocked: boolean;
  /** Scopes are being downloaded: records that are here, and that there will be. Lists are not whole before it is over. */
  readonly loading?: { readonly done: number; readonly total: number };
  /** The local store failed. Syncing is paused until {@link Client.start}; edits may fail. */
  readonly storeFailure?: StoreFailure;
}

/** Typed access to every entity of the schema: `db.leads.update(id, { priority: "high" })`. */
export type Db<Types> = {
  readonly [Name in keyof Types]: Types[Name] extends EntityTypes ? EntityApi<Types[Name]> : never;
};

/** What exists once somebody has signed in. */
interface Opened {
  readonly replica: Replica;
  readonly views: Views;
  readonly loop: SyncLoop;
}

export class Client<Types = Record<string, EntityTypes>> {
  readonly db: Db<Types>;
  readonly #options: ClientOptions;
  readonly #platform: Platform;
  readonly #schema: Schema;
  readonly #store: ReplicaStore;
  readonly #auth: Auth;
  readonly #serial = new Serial();
  /** Signing in and out, one after the other: two at once would each find an empty store, and wipe it. */
  readonly #signing = new Serial();
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  readonly #asides = new Set<(frame: JsonObject) => boolean>();
  #opened: Opened | undefined;
  /** Of the last step, if it failed. */
  #storeFailure: StoreFailure | undefined;

  private constructor(
    options: ClientOptions,
    parts: { platform: Platform; schema: Schema; store: ReplicaStore; auth: Auth },
  ) {
    this.#options = options;
    this.#platform = parts.platform;
    this.#schema = parts.schema;
    this.#store = parts.store;
    this.#auth = parts.auth;
    const apis = [...parts.schema.entities.keys()].map((name) => [name, new EntityApi(this, name)]);
    this.db = Object.fromEntries(apis) as Db<Types>;
  }

  /** Opens the device in its store. Needs no network. Throws {@link StoreError}, and on a server that is no address. */
  static async open<Types = Record<string, EntityTypes>>(options: ClientOptions): Promise<Client<Types>> {
    const server = addressOf(options.server);
    const platform = platformWith(options.platform ?? {});
    const schema = readSchema(options.schema, options.formats);
    const store = await options.store(schema);
    const auth = await Auth.open(server, platform, store);
    const client = new Client<Types>({ ...options, server }, { platform, schema, store, auth });
    const replica = await Replica.open(store, schema);
    if (replica !== undefined) {
      client.#opened = client.#begin(replica);
    }
    return client;
  }

  /** Who is signed in; `undefined`: nobody. */
  get credentials(): Credentials | undefined {
    return this.#auth.credentials;
  }

  /** Whether there is a replica: somebody has signed in on this device, now or in an earlier run. */
  get isReady(): boolean {
    return this.#opened !== undefined;
  }

  /** Signs in, and makes an empty store this person's device. On one that holds data, its owner is signed in again. */
  signIn(signIn: SignIn): Promise<Result<Credentials, Failure>> {
    return this.#signing.run(() => this.#signIn(signIn));
  }

  async #signIn(signIn: SignIn): Promise<Result<Credentials, Failure>> {
    const id = this.#heldMeta()?.deviceId ?? this.mintId();
    const device = { id, name: this.#options.deviceName, mode: this.#options.mode };
    const signed = await this.#auth.signIn(signIn, device);
    if (!signed.ok) {
      return signed;
    }
    const { workspaceId, userId, deviceId } = signed.value;
    const held = this.#heldMeta();
    if (held !== undefined && (held.userId !== userId || held.workspaceId !== workspaceId)) {
      const message = `this store belongs to user ${held.userId} of workspace ${held.workspaceId}: use another one`;
      return err({ failure: "refused", problem: { code: "forbidden", class: "rejected", message } });
    }
    if (held === undefined) {
      const identity = { workspaceId, userId, deviceId, clientId: this.mintId() };
      this.#opened?.loop.close();
      this.#opened = this.#begin(await this.#serial.run(() => Replica.create(this.#store, this.#schema, identity)));
    }
    await this.#auth.keep(signed.value);
    this.#tell({ event: "signed_in" });
    return signed;
  }

  /** Ends the sign-in and deletes everything here, also what is pending: ask the person first when {@link status} names any. */
  signOut(): Promise<void> {
    return this.#signing.run(() => this.#signOut());
  }

  async #signOut(): Promise<void> {
    const opened = this.#opened;
    if (opened === undefined) {
      return;
    }
    await opened.loop.feed({ input: "pause" });
    await this.#auth.end();
    this.#auth.forget();
    await this.#serial.run(() => purge(opened.replica, SIGNED_OUT));
    this.#tell({ event: "purged", code: SIGNED_OUT });
  }

  /** A token for requests of a program's own; `always` renews one that the server has refused. */
  token(renew: Renew = "if_needed"): Promise<Result<string, Failure>> {
    return this.#auth.bearer(renew);
  }

  /** Begins to sync and goes on until {@link pause} or {@link close}: reconnects by itself, as often as needed. */
  async start(): Promise<void> {
    await this.#opened?.loop.feed({ input: "online" });
  }

  /** Ends the connection. Edits go on and wait in the outbox. */
  async pause(): Promise<void> {
    await this.#opened?.loop.feed({ input: "pause" });
    this.#tell({ event: "disconnected" });
  }

  /** Resolves with true when replica and server are the same as far as both know, with false after `timeoutMs`. */
  async untilSynced(timeoutMs: number): Promise<boolean> {
    return (await this.#opened?.loop.untilQuiescent(timeoutMs)) ?? false;
  }

  /** Ends connection and timers and closes the store. The client is not used afterwards. */
  async close(): Promise<void> {
    this.#opened?.loop.close();
    await this.#serial.run(() => this.#store.close());
  }

  /**
   * Applies the edits as one mutation: visible and durable when this resolves. Needs no network. `mutationId`: for whoever
   * may have to ask twice; a mutation that was taken under it is not taken again. `isNew`: it was not asked for before, so
   * that nobody has to look for it among all that are kept.
   */
  mutate(edits: readonly Edit[], mutationId?: string, isNew = false): Promise<Result<Drafted, LocalError>> {
    return this.#editOnce(mutationId, isNew, (replica, stamp) => mutate(replica, edits, stamp));
  }

  /** The record as the person sees it, with what is pending. */
  get(entity: string, id: string): Promise<Viewed | undefined> {
    return this.#read(undefined, ({ replica }) => viewOf(replica, [entity, id]));
  }

  /** Records that match, with what is pending. */
  select(entity: string, query: Query): Promise<readonly Viewed[]> {
    return this.#read<readonly Viewed[]>([], ({ views }) => views.select(entity, query));
  }

  /** A query that stays true while somebody listens. Throws until somebody has signed in. */
  live(entity: string, query: Query): LiveQuery {
    if (this.#opened === undefined) {
      throw new Error("nobody has signed in on this device: call signIn first");
    }
    const { views } = this.#opened;
    return views.live(entity, query, (work) => this.#show(work));
  }

  /** Decides a conflict, or decides it anew. `fields`: the values of a `custom` resolution. */
  resolve(conflict: string, resolution: Resolution, fields: Fields = {}): Promise<Result<Drafted, LocalError>> {
    return this.mutate([{ edit: "resolve", conflict, resolution, fields }]);
  }

  /** Takes back how a conflict was decided: the other side is put in place (spec CNF-3). Returns what it is decided as now. */
  async undo(conflict: string): Promise<Result<Resolution, LocalError>> {
    return undo(await this.get(CONFLICTS, conflict), (resolution) => this.resolve(conflict, resolution));
  }

  /** Mutations the server refused, oldest first. */
  rejected(): Promise<readonly Rejected[]> {
    return this.#serial.run(() => this.#store.rejected());
  }

  discardRejected(clientSeq: number): Promise<Result<undefined, LocalError>> {
    return this.edit((replica) => discardRejected(replica, clientSeq));
  }

  /** Sends a rejected mutation again, with other values for some fields of its first op. The last two: as in {@link mutate}. */
  resendRejected(
    clientSeq: number,
    changes: Fields,
    mutationId?: string,
    isNew = false,
  ): Promise<Result<Drafted, LocalError>> {
    return this.#editOnce(mutationId, isNew, (replica, stamp) => resendRejected(replica, clientSeq, changes, stamp));
  }

  status(): Promise<Status> {
    return this.#serial.run(async () => {
      const opened = this.#opened;
      const meta = opened?.replica.meta;
      const known = {
        phase: opened?.loop.phase ?? ("signed_out" as const),
        isLocked: opened?.replica.isLocked(this.#platform.wallMs()) ?? false,
        pending: opened?.replica.outbox.size ?? 0,
        ...(meta && { meta }),
        ...(this.#storeFailure && { storeFailure: this.#storeFailure }),
      };
      try {
        const rejected = (await this.#store.rejected()).length;
        return { ...known, rejected, ...loadingOf(await this.#store.scopes()) };
      } catch (error) {
        if (!(error instanceof StoreError)) {
          throw error;
        }
        return { ...known, rejected: 0, storeFailure: error.code };
      }
    });
  }

  /** Calls `listener` with what happens until the function it returns is called. */
  onEvent(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The server's name of the connection that is live; `undefined`: there is none. */
  get connectionId(): string | undefined {
    return this.#opened?.loop.connectionId;
  }

  /**
   * Frames that the replica has no part in. `take` gets those that come and says whether it knew them, until `stop`; `send`
   * is lost without a connection. For modules of this package.
   */
  aside(take: (frame: JsonObject) => boolean): { send(frame: JsonObject): void; stop(): void } {
    this.#asides.add(take);
    return { send: (frame) => this.#opened?.loop.send(frame), stop: () => this.#asides.delete(take) };
  }

  /** Mints the id of a new record. */
  mintId(): string {
    return mintId(this.#platform);
  }

  #begin(replica: Replica): Opened {
    // Live queries outlast a sign-out: they show what the next one brings.
    const views = this.#opened?.views ?? new Views(replica);
    views.replica = replica;
    // The step is stored, whatever becomes of what screens read after it.
    replica.onTouched((touched) => views.touched(touched).catch((error) => this.#storeFailed(error)));
    const loop = new SyncLoop({
      ...this.#options,
      platform: this.#platform,
      auth: this.#auth,
      connect: this.#options.connect ?? webSocket,
      replica,
      serial: this.#serial,
      listener: {
        event: (event) => {
          if (event.event === "purged") {
            this.#auth.forget();
          }
          if (event.event === "connected") {
            this.#storeFailure = undefined;
          }
          // The lease runs out while nobody is heard, and begins anew with a welcome.
          this.#show(async () => undefined);
          this.#tell(event);
        },
        aside: (frame) => {
          // All of them hear it: none may hide a frame from another.
          const taken = frame && [...this.#asides].filter((take) => take(frame));
          if (!taken?.length) {
            this.#tell({ event: "frame_ignored" });
          }
        },
        loaded: () => this.#tell({ event: "loading" }),
        storeFailed: (error) => this.#storeFailed(error),
      },
    });
    return { replica, views, loop };
  }

  /** Reads for screens beside what callers wait for: a failure of the store is told, not thrown. */
  #show(work: () => Promise<void>): void {
    const opened = this.#opened;
    const run = async (): Promise<void> => {
      await opened?.views.hide(opened.replica.isLocked(this.#platform.wallMs()));
      await work();
    };
    this.#serial.run(run).catch((error: unknown) => this.#storeFailed(error));
  }

  /** Throws what is no failure of the store. */
  #storeFailed(error: unknown): void {
    if (!(error instanceof StoreError)) {
      throw error;
    }
    this.#storeFailure = error.code;
    this.#opened?.views.fail();
    this.#tell({ event: "store_failed", error });
  }

  #tell(event: ClientEvent): void {
    callAll(this.#listeners, event);
  }

  /** Whose data the store holds; `undefined`: nobody's, or it was deleted because access was withdrawn. */
  #heldMeta(): ReplicaMeta | undefined {
    const meta = this.#opened?.replica.meta;
    return meta?.purged === undefined ? meta : undefined;
  }

  /** An edit under a name: one that was taken under it already is not taken again. */
  #editOnce(
    mutationId: string | undefined,
    isNew: boolean,
    work: (replica: Replica, stamp: Stamp) => Promise<Result<Drafted, LocalError>>,
  ): Promise<Result<Drafted, LocalError>> {
    return this.edit(async (replica, stamp) => {
      if (mutationId === undefined) {
        return work(replica, stamp);
      }
      const taken = isNew ? undefined : (await findMutations(replica)).get(mutationId);
      return taken === undefined ? work(replica, { ...stamp, mutationId }) : ok(taken);
    });
  }

  /**
   * A local change, in the replica's sequence of steps; the loop is told when it was taken. For modules of this package:
   * programs use what is above.
   */
  async edit<T>(
    work: (replica: Replica, stamp: Stamp) => Promise<Result<T, LocalError>>,
  ): Promise<Result<T, LocalError>> {
    const opened = this.#opened;
    if (opened === undefined) {
      return err(localError("unauthenticated", "nobody has signed in on this device: call signIn first"));
    }
    const stamp = { mutationId: this.mintId(), nowMs: this.#platform.wallMs() };
    try {
      const { done, isMutation } = await this.#serial.run(async () => {
        const before = opened.replica.meta.nextClientSeq;
        const result = await work(opened.replica, stamp);
        return { done: result, isMutation: opened.replica.meta.nextClientSeq !== before };
      });
      if (isMutation) {
        this.#storeFailure = undefined;
        this.#tell({ event: "local_change" });
        void opened.loop.feed({ input: "local_change" });
      }
      return done;
    } catch (error) {
      if (error instanceof StoreError) {
        return err(localError(error.code, error.message));
      }
      throw error;
    }
  }

  /** Nothing is shown while the copy is locked, because the server was not heard for the length of the offline lease. */
  async #read<T>(nothing: T, work: (opened: Opened) => Promise<T>): Promise<T> {
    const opened = this.#opened;
    return this.#serial.run(async () =>
      opened === undefined || opened.replica.isLocked(this.#platform.wallMs()) ? nothing : work(opened),
    );
  }
}

/** How far downloads are; nothing when there are none. */
function loadingOf(scopes: ReadonlyMap<string, ScopeState>): Pick<Status, "loading"> {
  let [done, total] = [0, 0];
  for (const { digest, loading } of scopes.values()) {
    if (loading?.how === "snapshot") {
      done += digest.count;
      total += Math.max(loading.count ?? 0, digest.count, 1);
    }
  }
  return total === 0 ? {} : { loading: { done, total } };
}

/** Decides a conflict the other way, as `resolve` does it. `found`: the conflict as it is now. */
export async function undo(
  found: Viewed | undefined,
  resolve: (resolution: Resolution) => Promise<Result<Drafted, LocalError>>,
): Promise<Result<Resolution, LocalError>> {
  if (found === undefined) {
    return err(localError("not_found", "there is no such conflict on this device"));
  }
  const decided = member(found.fields, "resolution");
  const isMine =
    decided === null
      ? jsonEquals(member(found.fields, "result"), member(found.fields, "mine"))
      : decided !== "use_theirs";
  const resolution = isMine ? "use_theirs" : "use_mine";
  const drafted = await resolve(resolution);
  return drafted.ok ? ok(resolution) : drafted;
}

/** The address of a server without a slash at the end. */
function addressOf(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    throw new Error(`${text} is not the address of a server: write one like https://crm.example.com`);
  }
  return url.href.replace(/\/+$/, "");
}
