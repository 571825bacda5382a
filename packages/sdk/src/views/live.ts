/** Queries whose answer stays true: every step of the replica moves it on by what the step touched. */

import { callAll } from "../client/listeners.ts";
import { partitionPoint } from "../order.ts";
import type { Viewed } from "../replica/view.ts";
import { matches, orderOf, type Query } from "./query.ts";
import type { RowChange, Table } from "./table.ts";

/** What a live query shows. A new object for every change, the same one in between. */
export type LiveState =
  /** The local store is being read for the first time. */
  | { readonly state: "loading"; readonly rows: readonly Viewed[] }
  | { readonly state: "ready"; readonly rows: readonly Viewed[] }
  /** The local store cannot be read: the rows are the last that could be. */
  | { readonly state: "failed"; readonly rows: readonly Viewed[] };

const LOADING: LiveState = { state: "loading", rows: [] };

export class LiveQuery {
  readonly entity: string;
  readonly #query: Query;
  readonly #listeners = new Set<() => void>();
  readonly #open: (live: LiveQuery) => void;
  readonly #close: (live: LiveQuery) => void;
  #table: Table | undefined;
  /** All that match, in order; what is shown are the first of them. */
  #matching: Viewed[] = [];
  #state: LiveState = LOADING;

  /** `open` is called when the first listener comes, `close` when the last one has gone. */
  constructor(
    entity: string,
    query: Query,
    { open, close }: { open: (live: LiveQuery) => void; close: (live: LiveQuery) => void },
  ) {
    this.entity = entity;
    this.#query = query;
    this.#open = open;
    this.#close = close;
  }

  /** What to show now. Stable between changes, as `useSyncExternalStore` wants it. */
  readonly snapshot = (): LiveState => this.#state;

  /** Calls `listener` after every change until the function it returns is called. */
  readonly subscribe = (listener: () => void): (() => void) => {
    // One function may be given twice: each subscription is its own.
    const call = (): void => listener();
    this.#listeners.add(call);
    if (this.#listeners.size === 1) {
      this.#open(this);
    }
    return () => {
      if (this.#listeners.delete(call) && this.#listeners.size === 0) {
        this.#close(this);
        this.clear();
      }
    };
  };

  /** Shows nothing until the answer is taken anew. */
  clear(): void {
    this.#table = undefined;
    this.#matching = [];
    this.#state = LOADING;
    this.#tell();
  }

  /** The answer cannot be kept true any more, until it is taken anew. */
  fail(): void {
    this.#table = undefined;
    this.#state = { state: "failed", rows: this.#state.rows };
    this.#tell();
  }

  /** Takes the whole answer from a table. */
  reload(table: Table): void {
    if (this.#listeners.size === 0) {
      return;
    }
    this.#table = table;
    this.show(table.select(this.#query));
  }

  /** Takes in what one step changed in the table of the query. O(changes · log rows), and one copy of the list. */
  applyChanges(changes: readonly RowChange[]): void {
    if (this.#table === undefined) {
      return;
    }
    const order = orderOf(this.#table.entity, this.#query);
    const matching = (rows: readonly (Viewed | undefined)[]): Viewed[] =>
      rows.filter((row) => row !== undefined && matches(this.#query, row)).sort(order as never) as Viewed[];
    const gone = matching(changes.map(({ before }) => before));
    const come = matching(changes.map(({ after }) => after));
    if (gone.length + come.length > 0) {
      this.#weave(order, gone, true);
      this.#weave(order, come, false);
      this.#show();
    }
  }

  /** Takes rows, in order, out of the list, or puts them in. */
  #weave(order: (a: Viewed, b: Viewed) => number, rows: readonly Viewed[], isOut: boolean): void {
    const all = this.#matching;
    let from = 0;
    const parts = rows.map((row) => {
      const at = partitionPoint(all, (held) => order(held, row) < 0);
      const part = all.slice(from, at);
      from = isOut ? at + 1 : at;
      return isOut ? part : [...part, row];
    });
    this.#matching = [...parts, all.slice(from)].flat();
  }

  /** Takes the whole answer, in order, from where it was made. */
  show(rows: readonly Viewed[]): void {
    if (this.#listeners.size > 0) {
      this.#matching = [...rows];
      this.#show();
    }
  }

  #show(): void {
    const { limit } = this.#query;
    const rows = this.#matching.slice(0, limit);
    const { rows: shown } = this.#state;
    const isSame =
      this.#state.state === "ready" && shown.length === rows.length && rows.every((row, index) => row === shown[index]);
    if (isSame) {
      return;
    }
    this.#state = { state: "ready", rows };
    this.#tell();
  }

  #tell(): void {
    callAll(this.#listeners);
  }
}
