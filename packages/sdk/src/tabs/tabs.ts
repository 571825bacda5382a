/**
 * One device in several tabs: one tab leads and has the client, the others ask it (invariant 5 across tabs).
 *
 * Who leads is who holds a Web Lock; when that tab goes the next one gets it. A tab that a person looks at takes the lead
 * from one that does not answer, because browsers freeze tabs in the background; the store's fence keeps a frozen leader
 * that wakes from writing. The leader says at once that it has taken a call, so that one that waits for a network is not
 * mistaken for a frozen leader. A call that was not answered is asked again, of whoever leads then: edits carry the id of
 * their mutation, so none is taken twice.
 */

import type { AnyClient, Person } from "../client/any.ts";
import { Client, type ClientEvent, type ClientOptions, type Db, type Status, undo } from "../client/client.ts";
import { EntityApi } from "../client/entity.ts";
import { callAll } from "../client/listeners.ts";
import { mintId, type Platform, platformWith } from "../client/platform.ts";
import type { Works } from "../client/works.ts";
import type { Fields } from "../json.ts";
import type { Look, Lookouts, Seen } from "../presence/lookout.ts";
import { CONFLICTS, type Resolution } from "../protocol/frames.ts";
import type { Edit, LocalError } from "../replica/edit.ts";
import { StoreError } from "../replica/store.ts";
import { LiveQuery, type LiveState } from "../views/live.ts";
import { matches, type Query } from "../views/query.ts";
import { Calls, SILENCE } from "./calls.ts";
import { Leader, NAMED_BY } from "./leader.ts";
import type { Broadcast, Method, Reply, Request } from "./messages.ts";

export interface TabsOptions extends ClientOptions {
  /** Names the device among all that pages of this origin have; as a rule the name of its store. */
  readonly name: string;
  /** `navigator.locks`, when not given. */
  readonly locks?: LockManager;
  /** Whether a person looks at this tab; `document.visibilityState`, when not given. */
  readonly isVisible?: () => boolean;
  /** How long a tab waits for the leader before it asks again or takes over; 2,000 ms when not given. */
  readonly answerMs?: number;
}

/** Answers come within milliseconds; a frozen tab does not answer for minutes. */
const ANSWER_MS = 2_000;
/** Times a call is asked before it fails. */
const ATTEMPTS_MAX = 5;
type Methods = Pick<Client, Method>;

interface Looking {
  readonly look: Look;
  readonly tell: (seen: Seen) => void;
}

export class TabClient<Types> implements AnyClient<Types> {
  readonly db: Db<Types>;
  readonly works: Works;
  readonly lookouts: Lookouts;
  readonly #options: TabsOptions;
  readonly #platform: Platform;
  readonly #locks: LockManager;
  readonly #channel: BroadcastChannel;
  /** What is said to this tab alone. */
  readonly #own: BroadcastChannel;
  /** Of the tabs this one, leading, speaks to. */
  readonly #channels = new Map<string, BroadcastChannel>();
  readonly #tab: string;
  readonly #closing = new AbortController();
  readonly #calls: Calls;
  readonly #live = new Map<string, RemoteLive>();
  readonly #looking = new Map<string, Looking>();
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  /** Tabs whose going this one, leading, waits for. */
  readonly #watched = new Set<string>();
  #leader: Leader | undefined;
  /** Who is signed in, as the leader said last. */
  #who: Pick<AnyClient, "isReady" | "credentials"> = { isReady: false, credentials: undefined };
  /** A request for the lead is in the queue. */
  #isWaiting = false;
  /** Ends the lead of this tab. */
  #resign: (() => void) | undefined;

  private constructor(options: TabsOptions) {
    this.#options = options;
    this.#platform = platformWith(options.platform ?? {});
    this.#locks = options.locks ?? navigator.locks;
    this.#tab = mintId(this.#platform);
    this.#channel = new BroadcastChannel(`syncline ${options.name}`);
    this.#channel.onmessage = ({ data }) => this.#onMessage(data as Broadcast | Request);
    this.#own = new BroadcastChannel(this.#tabLock(this.#tab));
    this.#own.onmessage = ({ data }) => this.#onReply(data as Reply);
    this.#calls = new Calls((request) => this.#say(request), options.answerMs ?? ANSWER_MS);
    const works = ["keep", "kept", "mutateSome", "importSome"] as const satisfies (keyof Works)[];
    const asked = works.map((name) => [name, (...args: unknown[]) => this.#call(name, args)]);
    this.works = Object.fromEntries(asked) as Works;
    this.lookouts = { look: (...args) => this.#look(...args) };
    const names = Object.keys(options.schema.entities);
    this.db = Object.fromEntries(names.map((name) => [name, new EntityApi(this, name)])) as Db<Types>;
  }

  /** Joins the tabs of a device; resolves at once, leading or following. */
  static async open<Types>(options: TabsOptions): Promise<TabClient<Types>> {
    const tab = new TabClient<Types>(options);
    // Held for as long as the tab lives: whoever gets it knows that the tab has gone.
    void tab.#hold(tab.#tabLock(tab.#tab), () => tab.#closed());
    await tab.#run({ ifAvailable: true });
    if (tab.#leader === undefined) {
      tab.#wait();
      tab.#say({ kind: "hello", tab: tab.#tab });
    }
    return tab;
  }

  /** Who is signed in; `undefined`: nobody, or the leader has not said it yet: a `leader_heard` comes when it does. */
  get credentials(): Person | undefined {
    return this.#who.credentials;
  }

  /** Whether there is a replica; as {@link credentials}. */
  get isReady(): boolean {
    return this.#who.isReady;
  }

  /** Whether this tab has the client. */
  get isLeader(): boolean {
    return this.#leader !== undefined;
  }

  /** Leaves. The next tab takes over what this one led. */
  async close(): Promise<void> {
    this.#closing.abort();
    const led = this.#leader;
    this.#leader = undefined;
    this.#calls.close();
    await led?.close();
    this.#resign?.();
    for (const live of this.#live.keys()) {
      this.#channel.postMessage({ kind: "close", live } satisfies Request);
    }
    for (const channel of [this.#channel, this.#own, ...this.#channels.values()]) {
      channel.close();
    }
  }

  signIn(...args: Parameters<Methods["signIn"]>) {
    return this.#call("signIn", args) as ReturnType<Methods["signIn"]>;
  }
  signOut() {
    return this.#call("signOut") as ReturnType<Methods["signOut"]>;
  }
  token(...args: Parameters<Methods["token"]>) {
    return this.#call("token", args) as ReturnType<Methods["token"]>;
  }
  /** Syncs again after {@link pause}, or after the local store failed; in whichever tab. Otherwise it begins by itself. */
  start() {
    return this.#call("start") as ReturnType<Methods["start"]>;
  }
  pause() {
    return this.#call("pause") as ReturnType<Methods["pause"]>;
  }
  mutate(edits: readonly Edit[], mutationId = this.mintId()) {
    return this.#call("mutate", [edits, mutationId]) as ReturnType<Methods["mutate"]>;
  }
  get(entity: string, id: string) {
    return this.#call("get", [entity, id]) as ReturnType<Methods["get"]>;
  }
  async select(entity: string, query: Query) {
    const rows = await (this.#call("select", [entity, this.#sent(query)]) as ReturnType<Methods["select"]>);
    const { filter, limit } = query;
    return (filter === undefined ? rows : rows.filter(filter)).slice(0, limit);
  }
  resolve(conflict: string, resolution: Resolution, fields: Fields = {}) {
    return this.mutate([{ edit: "resolve", conflict, resolution, fields }]);
  }
  async undo(conflict: string) {
    // Not asked of the leader as one call: asked twice it would undo itself.
    return undo(await this.get(CONFLICTS, conflict), (resolution) => this.resolve(conflict, resolution));
  }
  rejected() {
    return this.#call("rejected") as ReturnType<Methods["rejected"]>;
  }
  discardRejected(...args: Parameters<Methods["discardRejected"]>) {
    return this.#call("discardRejected", args) as ReturnType<Methods["discardRejected"]>;
  }
  resendRejected(clientSeq: number, changes: Fields, mutationId = this.mintId()) {
    return this.#call("resendRejected", [clientSeq, changes, mutationId]) as ReturnType<Methods["resendRejected"]>;
  }
  status(): Promise<Status> {
    return this.#call("status") as Promise<Status>;
  }

  /** A query that stays true while somebody listens, whichever tab leads. */
  live(entity: string, query: Query): LiveQuery {
    const { filter } = query;
    const id = this.mintId();
    return new LiveQuery(entity, query, {
      open: (live) => {
        this.#live.set(id, {
          entity,
          query,
          told: [],
          show: ({ state, rows }) => {
            if (state === "loading") {
              live.clear();
            } else if (state === "failed") {
              live.fail();
            } else {
              live.show(rows.filter((row) => filter === undefined || matches({ filter }, row)));
            }
          },
        });
        this.#openLive(id);
      },
      close: () => {
        this.#live.delete(id);
        this.#say({ kind: "close", live: id });
      },
    });
  }

  /** Calls `listener` with what happens, in whichever tab, until the function it returns is called. */
  onEvent(listener: (event: ClientEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  mintId(): string {
    return mintId(this.#platform);
  }

  /** Waits for the lead and takes it; resolves when this tab leads, or, with `ifAvailable`, when another one does. */
  async #run(how: LockOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const led = async (lock: Lock | null): Promise<void> => {
        this.#isWaiting &&= how.ifAvailable === true || how.steal === true;
        if (lock === null) {
          resolve();
          return;
        }
        const resigned = new Promise<void>((resign) => {
          this.#resign = resign;
        });
        await this.#lead();
        resolve();
        await resigned;
      };
      const ended = this.#hold(`syncline ${this.#options.name}`, led, how);
      ended.then((end) => (end === "stolen" ? this.#lose() : undefined)).catch(reject);
    });
  }

  /** Takes its turn to lead when the tabs before it have gone. */
  #wait(): void {
    if (this.#isWaiting || this.#closing.signal.aborted) {
      return;
    }
    this.#isWaiting = true;
    this.#run({}).catch((error: unknown) => {
      if (error instanceof StoreError) {
        this.#tell({ event: "store_failed", error });
      }
    });
  }

  /** Takes the lead from a tab that does not answer. */
  async #takeOver(): Promise<void> {
    await this.#run({ steal: true });
  }

  async #lead(): Promise<void> {
    const client = await Client.open<never>(this.#options);
    const leader = new Leader(client, {
      all: (message) => {
        this.#send(message);
        this.#hear(message);
      },
      to: (to, message) => (to === this.#tab ? this.#onReply(message) : this.#channelTo(to)?.postMessage(message)),
    });
    this.#leader = leader;
    client.onEvent((event) => {
      this.#tell(event);
      if (event.event === "signed_in") {
        void client.start();
      }
      // Another context has opened the store: it leads now, whatever the locks say.
      if (event.event === "store_failed" && event.error.code === "storage_locked") {
        void this.#lose();
      }
    });
    this.#send({ kind: "leader", tab: this.#tab });
    leader.take({ kind: "hello", tab: this.#tab });
    this.#askAnew();
    await client.start();
  }

  /** Asks a new leader for what this tab shows and looks at. */
  #askAnew(): void {
    for (const live of this.#live.keys()) {
      this.#openLive(live);
    }
    for (const [watcher, { look }] of this.#looking) {
      this.#say({ kind: "look", tab: this.#tab, watcher, look });
    }
  }

  /** Stops leading, and follows. */
  async #lose(): Promise<void> {
    const led = this.#leader;
    if (led === undefined) {
      return;
    }
    this.#leader = undefined;
    this.#resign?.();
    await led.close();
    this.#wait();
    this.#say({ kind: "hello", tab: this.#tab });
    this.#askAnew();
  }

  /** Holds a lock while `work` runs. */
  async #hold(
    name: string,
    work: (lock: Lock | null) => Promise<void>,
    how: LockOptions = {},
  ): Promise<"ended" | "stolen"> {
    try {
      // The platform takes a signal only of requests that wait.
      const canWait = how.steal !== true && how.ifAvailable !== true;
      await this.#locks.request(name, canWait ? { ...how, signal: this.#closing.signal } : how, work);
      return "ended";
    } catch (error) {
      if (error instanceof DOMException && error.name === "AbortError") {
        return this.#closing.signal.aborted ? "ended" : "stolen";
      }
      throw error;
    }
  }

  /** Resolves when this tab is closed. */
  #closed(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing.signal.addEventListener("abort", () => resolve());
    });
  }

  #tabLock(tab: string): string {
    return `syncline ${this.#options.name} ${tab}`;
  }

  #onMessage(message: Broadcast | Request): void {
    switch (message.kind) {
      case "leader":
        this.#askAnew();
        return;
      case "who":
        this.#hear(message);
        return;
      case "event":
        this.#tell(message.event);
        return;
      case "store_failed":
        this.#tell({ event: "store_failed", error: new StoreError(message.code, message.message) });
        return;
      case "hello":
      case "call":
      case "open":
      case "look":
        this.#watch(message.tab);
        this.#leader?.take(message);
        return;
      case "still":
      case "close":
        this.#leader?.take(message);
    }
  }

  #hear(message: Broadcast): void {
    if (message.kind === "who") {
      const { isReady, person: credentials } = message;
      this.#who = { isReady, credentials };
      this.#tell({ event: "leader_heard" });
    }
  }

  #onReply(message: Reply): void {
    switch (message.kind) {
      case "taken":
      case "answer":
      case "failure":
        this.#calls.take(message);
        return;
      case "state":
        this.#show(message.live, message.state);
        return;
      case "splice":
        this.#splice(message);
        return;
      case "seen":
        this.#looking.get(message.watcher)?.tell(message.seen);
    }
  }

  /** Closes what a tab left open when it goes. */
  #watch(tab: string): void {
    const led = this.#leader;
    if (led === undefined || this.#watched.has(tab)) {
      return;
    }
    this.#watched.add(tab);
    void this.#hold(this.#tabLock(tab), async () => {
      this.#watched.delete(tab);
      this.#channels.get(tab)?.close();
      this.#channels.delete(tab);
      led.forget(tab);
    });
  }

  #tell(event: ClientEvent): void {
    if (event.event === "signed_in") {
      for (const live of this.#live.keys()) {
        this.#openLive(live);
      }
    }
    callAll(this.#listeners, event);
  }

  /**
   * What the leader is asked for: by this tab, if it leads, everything. A filter is a function, which no channel carries: then
   * another one cannot count for this tab.
   */
  #sent(query: Query): Query {
    const { filter, limit: _, ...sent } = query;
    return this.#leader === undefined && filter !== undefined ? sent : query;
  }

  #openLive(live: string): void {
    const remote = this.#live.get(live);
    if (remote !== undefined) {
      this.#say({ kind: "open", tab: this.#tab, live, entity: remote.entity, query: this.#sent(remote.query) });
    }
  }

  #look(watcher: string, look: Look | undefined, tell: (seen: Seen) => void): void {
    if (look === undefined) {
      this.#looking.delete(watcher);
    } else {
      this.#looking.set(watcher, { look, tell });
    }
    this.#say({ kind: "look", tab: this.#tab, watcher, ...(look && { look }) });
  }

  /** Asks the leader, in whichever tab it is. */
  #say(request: Request): void {
    if (this.#leader === undefined) {
      this.#send(request);
    } else {
      this.#leader.take(request);
    }
  }

  #show(live: string, state: LiveState): void {
    const remote = this.#live.get(live);
    if (remote !== undefined) {
      remote.told = state.rows;
      remote.show(state);
    }
  }

  /** Takes in a change; one that does not fit what was told last has everything told anew. */
  #splice({ live, before, from, removed, rows }: Extract<Reply, { kind: "splice" }>): void {
    const remote = this.#live.get(live);
    if (remote === undefined) {
      return;
    }
    if (remote.told.length === before) {
      const kept = [remote.told.slice(0, from), remote.told.slice(from + removed)] as const;
      this.#show(live, { state: "ready", rows: [...kept[0], ...rows, ...kept[1]] });
    } else {
      this.#say({ kind: "close", live });
      this.#openLive(live);
    }
  }

  #send(message: Broadcast | Request): void {
    if (!this.#closing.signal.aborted) {
      this.#channel.postMessage(message);
    }
  }

  /** The channel of a tab; it is let go when the tab has gone. `undefined`: this tab is closed itself. */
  #channelTo(tab: string): BroadcastChannel | undefined {
    if (!this.#closing.signal.aborted && !this.#channels.has(tab)) {
      this.#channels.set(tab, new BroadcastChannel(this.#tabLock(tab)));
    }
    return this.#channels.get(tab);
  }

  async #call(method: Method | keyof Works, given: unknown[] = []): Promise<unknown> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const named = NAMED_BY[method];
      // Only what was asked before can have been taken.
      const args = named === undefined ? given : [...given.slice(0, named + 1), attempt === 1];
      const led = this.#leader;
      const answer =
        led === undefined
          ? await this.#calls.ask({ tab: this.#tab, call: this.mintId(), method, args })
          : await led.run(method, args);
      if (answer !== SILENCE && !isLocked(answer)) {
        return answer;
      }
      if (this.#leader === undefined && (this.#options.isVisible ?? isVisible)()) {
        await this.#takeOver();
      }
    }
    throw new Error("no tab of this device answers: look at one of them, or load this page again");
  }
}

/** Whether the answer is that of a leader whose store another tab has taken over. */
function isLocked(answer: unknown): boolean {
  const { ok, error } = (answer ?? {}) as Partial<{ ok: boolean; error: Partial<LocalError> }>;
  return ok === false && error?.code === "storage_locked";
}

/** A live query of this tab as the leader knows it. */
interface RemoteLive {
  readonly entity: string;
  readonly query: Query;
  /** The rows as the leader told them last. */
  told: LiveState["rows"];
  show(state: LiveState): void;
}

function isVisible(): boolean {
  return typeof document !== "undefined" && document.visibilityState === "visible";
}
