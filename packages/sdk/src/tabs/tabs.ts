/**
 * One device in several tabs: one tab leads and has the client, the others ask it (invariant 5 across tabs).
 *
 * Who leads is who holds a Web Lock; when that tab goes the next one gets it. A tab that a person looks at takes the lead
 * from one that does not answer, because browsers freeze tabs in the background; the store's fence keeps a frozen leader
 * that wakes from writing. A call that was not answered is asked again, of whoever leads then: edits carry the id of their
 * mutation, so none is taken twice.
 */

import { Client, type ClientEvent, type ClientOptions, type Db, type Status, undo } from "../client/client.ts";
import { EntityApi, type EntityHost } from "../client/entity.ts";
import { mintId, type Platform, platformWith } from "../client/platform.ts";
import type { Fields } from "../json.ts";
import { CONFLICTS, type Resolution } from "../protocol/frames.ts";
import type { Edit, LocalError } from "../replica/edit.ts";
import { StoreError } from "../replica/store.ts";
import { LiveQuery, type LiveState } from "../views/live.ts";
import { matches, type Query } from "../views/query.ts";
import { Leader } from "./leader.ts";
import type { Message, Method } from "./messages.ts";

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
/** Calls that may wait for an answer. */
const CALLS_MAX = 1_000;

type Calls = Pick<Client, Method | "resolve" | "undo">;

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The answer did not come in time. */
const SILENCE = Symbol("silence");

export class TabClient<Types> implements EntityHost, Calls {
  readonly db: Db<Types>;
  readonly #options: TabsOptions;
  readonly #platform: Platform;
  readonly #locks: LockManager;
  readonly #channel: BroadcastChannel;
  readonly #tab: string;
  readonly #closing = new AbortController();
  readonly #waiting = new Map<string, Waiting>();
  readonly #live = new Map<string, RemoteLive>();
  readonly #listeners = new Set<(event: ClientEvent) => void>();
  /** Tabs whose going this one, leading, waits for. */
  readonly #watched = new Set<string>();
  #leader: Leader | undefined;
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
    this.#channel.onmessage = ({ data }) => this.#onMessage(data as Message);
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
      tab.#send({ kind: "hello", tab: tab.#tab });
    }
    return tab;
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
    for (const { reject } of this.#waiting.values()) {
      reject(new Error("the tab was closed"));
    }
    await led?.close();
    this.#resign?.();
    for (const live of this.#live.keys()) {
      this.#send({ kind: "close", live });
    }
    this.#channel.close();
  }

  signIn(...args: Parameters<Calls["signIn"]>) {
    return this.#call("signIn", args) as ReturnType<Calls["signIn"]>;
  }
  signOut() {
    return this.#call("signOut", []) as ReturnType<Calls["signOut"]>;
  }
  token(...args: Parameters<Calls["token"]>) {
    return this.#call("token", args) as ReturnType<Calls["token"]>;
  }
  mutate(edits: readonly Edit[], mutationId = this.mintId()) {
    return this.#call("mutate", [edits, mutationId]) as ReturnType<Calls["mutate"]>;
  }
  get(entity: string, id: string) {
    return this.#call("get", [entity, id]) as ReturnType<Calls["get"]>;
  }
  async select(entity: string, query: Query) {
    const { filter, limit, ...sent } = query;
    const rows = await (this.#call("select", [entity, sent]) as ReturnType<Calls["select"]>);
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
    return this.#call("rejected", []) as ReturnType<Calls["rejected"]>;
  }
  discardRejected(...args: Parameters<Calls["discardRejected"]>) {
    return this.#call("discardRejected", args) as ReturnType<Calls["discardRejected"]>;
  }
  resendRejected(clientSeq: number, changes: Fields, mutationId = this.mintId()) {
    return this.#call("resendRejected", [clientSeq, changes, mutationId]) as ReturnType<Calls["resendRejected"]>;
  }
  status(): Promise<Status> {
    return this.#call("status", []) as Promise<Status>;
  }

  /** A query that stays true while somebody listens, whichever tab leads. */
  live(entity: string, query: Query): LiveQuery {
    const { filter, limit, ...sent } = query;
    const id = this.mintId();
    return new LiveQuery(entity, query, {
      open: (live) => {
        this.#live.set(id, {
          entity,
          query: sent,
          told: [],
          show: ({ state, rows }) => {
            if (state === "loading") {
              live.clear();
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
    const leader = new Leader(client, (message) => this.#say(message));
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
    this.#say({ kind: "leader", tab: this.#tab });
    await client.start();
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
    for (const live of this.#live.keys()) {
      this.#openLive(live);
    }
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

  #onMessage(message: Message): void {
    this.#leader?.take(message);
    switch (message.kind) {
      case "leader":
        for (const live of this.#live.keys()) {
          this.#openLive(live);
        }
        return;
      case "hello":
        this.#watch(message.tab);
        return;
      case "call":
      case "open":
        this.#watch(message.tab);
        return;
      case "answer":
        this.#waiting.get(message.call)?.resolve(message.value);
        return;
      case "failure":
        this.#waiting.get(message.call)?.reject(new Error(message.message));
        return;
      case "state":
        this.#show(message.live, message.state);
        return;
      case "splice":
        this.#splice(message);
        return;
      case "event":
        this.#tell(message.event);
        return;
      case "close":
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
      led.forget(tab);
    });
  }

  #tell(event: ClientEvent): void {
    if (event.event === "signed_in") {
      for (const live of this.#live.keys()) {
        this.#openLive(live);
      }
    }
    for (const listener of [...this.#listeners]) {
      listener(event);
    }
  }

  #openLive(live: string): void {
    const remote = this.#live.get(live);
    if (remote !== undefined) {
      this.#say({ kind: "open", tab: this.#tab, live, entity: remote.entity, query: remote.query });
    }
  }

  /** Sends to the other tabs; to the leader also when it is this one. */
  #say(message: Message): void {
    const isOwn = "live" in message && this.#live.has(message.live);
    if (isOwn && message.kind === "state") {
      this.#show(message.live, message.state);
    } else if (isOwn && message.kind === "splice") {
      this.#splice(message);
    } else {
      // Rows of the leader's own queries stay in it: a copy of them for nobody would cost as much as one for somebody.
      this.#send(message);
      this.#leader?.take(message);
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
  #splice({ live, before, from, removed, rows }: Extract<Message, { kind: "splice" }>): void {
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

  #send(message: Message): void {
    if (!this.#closing.signal.aborted) {
      this.#channel.postMessage(message);
    }
  }

  async #call(method: Method, args: unknown[]): Promise<unknown> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const led = this.#leader;
      const answer =
        led === undefined
          ? await this.#ask(method, args)
          : await (led.client[method] as (...args: unknown[]) => Promise<unknown>).apply(led.client, args);
      if (answer !== SILENCE && !isLocked(answer)) {
        return answer;
      }
      if (this.#leader === undefined && (this.#options.isVisible ?? isVisible)()) {
        await this.#takeOver();
      }
    }
    throw new Error("no tab of this device answers: look at one of them, or load this page again");
  }

  async #ask(method: Method, args: unknown[]): Promise<unknown> {
    if (this.#waiting.size >= CALLS_MAX) {
      throw new Error(`more than ${CALLS_MAX} calls wait for the tab that leads`);
    }
    const call = this.mintId();
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#waiting.set(call, { resolve, reject });
        timer = setTimeout(() => resolve(SILENCE), this.#options.answerMs ?? ANSWER_MS);
        this.#send({ kind: "call", tab: this.#tab, call, method, args });
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(call);
    }
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
