/**
 * What screens read: tables of the entities that were asked about, kept true by every step of the replica.
 *
 * An entity's records are read into memory with the first question about it and stay there while a live query is open on
 * it; an answer to a single question leaves them for the next one. 100,000 records take tens of megabytes.
 */

import type { Replica, Touched } from "../replica/replica.ts";
import { nameOf } from "../replica/step.ts";
import { synced, type Viewed, viewsOf } from "../replica/view.ts";
import { LiveQuery } from "./live.ts";
import type { Query } from "./query.ts";
import { type RowChange, Table } from "./table.ts";

/** During a download lists are told when this share of their entity has come since they were told. */
const LOADING_SHARE = 5;

export class Views {
  /** Whose tables these are; another one takes its place empty, when its tables are. */
  replica: Replica;
  readonly #tables = new Map<string, Table>();
  readonly #live = new Map<string, Set<LiveQuery>>();
  /** What live queries have not been told yet, by entity and id: each as it was when they were told last, and as it is. */
  readonly #untold = new Map<string, Map<string, RowChange>>();
  #isHidden = false;
  /** The store could not be read: what is shown may be old. */
  #hasFailed = false;

  constructor(replica: Replica) {
    this.replica = replica;
  }

  /** Records that match now. Part of the replica's sequence of steps. */
  async select(entity: string, query: Query): Promise<Viewed[]> {
    return (await this.#table(entity)).select(query, query.limit);
  }

  /** A query that stays true while somebody listens. `run` puts work into the replica's sequence of steps. */
  live(entity: string, query: Query, run: (work: () => Promise<void>) => void): LiveQuery {
    return new LiveQuery(entity, query, {
      open: (live) => {
        const open = this.#live.get(entity) ?? new Set();
        this.#live.set(entity, open.add(live));
        run(async () => {
          if (this.#live.get(entity)?.has(live) && !this.#isHidden) {
            this.#tell();
            live.reload(await this.#table(entity));
          }
        });
      },
      close: (live) => {
        this.#live.get(entity)?.delete(live);
      },
    });
  }

  /** Hides what live queries show, or shows it again: a copy whose lease has run out is not to be seen. */
  async hide(isHidden: boolean): Promise<void> {
    // Called with whatever happens to the session: a download that was cut off leaves nothing untold.
    this.#tell();
    if (this.#isHidden === isHidden) {
      return;
    }
    this.#isHidden = isHidden;
    for (const live of isHidden ? this.#open() : []) {
      live.clear();
    }
    await this.#reloadAll();
  }

  /** The store cannot be read: live queries say so, and are read anew with the next step that works. */
  fail(): void {
    this.#hasFailed = true;
    this.#tables.clear();
    this.#untold.clear();
    for (const live of this.#open()) {
      live.fail();
    }
  }

  #open(): LiveQuery[] {
    return [...this.#live.values()].flatMap((open) => [...open]);
  }

  /** Takes in a step of the replica. */
  async touched({ keys, base, isWide, isLoading }: Touched): Promise<void> {
    if (isWide || this.#hasFailed) {
      await this.#reloadAll();
      return;
    }
    const asked = new Map(
      keys.filter(([entity]) => this.#tables.has(entity)).map((key) => [nameOf(key), key] as const),
    );
    const wanted = [...asked.values()];
    const views = await viewsOf(this.replica, wanted, base);
    for (const [index, [entity, id]] of wanted.entries()) {
      const change = this.#tables.get(entity)?.set(id, views[index]);
      if (change !== undefined) {
        const untold = this.#untold.get(entity) ?? new Map<string, RowChange>();
        this.#untold.set(entity, untold.set(id, { ...change, before: (untold.get(id) ?? change).before }));
      }
    }
    // A change costs screens all of their rows: during a download they are told of much at a time, of the first rows at once.
    const isMuch = [...this.#untold].some(
      ([entity, { size }]) => size * LOADING_SHARE >= (this.#tables.get(entity)?.size ?? 0),
    );
    if (!isLoading || isMuch) {
      this.#tell();
    }
  }

  /** Tells live queries what has changed. */
  #tell(): void {
    for (const [entity, changes] of this.#untold) {
      for (const live of this.#live.get(entity) ?? []) {
        live.applyChanges([...changes.values()]);
      }
    }
    this.#untold.clear();
  }

  /** Anything may have gone: tables nobody watches are dropped, the others read anew. */
  async #reloadAll(): Promise<void> {
    this.#tables.clear();
    this.#untold.clear();
    for (const live of this.#isHidden ? [] : this.#open()) {
      live.reload(await this.#table(live.entity));
    }
    this.#hasFailed = false;
  }

  async #table(entity: string): Promise<Table> {
    let table = this.#tables.get(entity);
    if (table === undefined) {
      const { schema, store, outbox } = this.replica;
      table = new Table(schema.entities.get(entity), (await store.baseAll(entity)).map(synced));
      const pending = outbox.touched(entity);
      const views = await viewsOf(this.replica, pending);
      for (const [index, [, id]] of pending.entries()) {
        table.set(id, views[index]);
      }
      this.#tables.set(entity, table);
    }
    return table;
  }
}
