/** One entity's records in memory, as the person sees them, with indexes on what was asked for. */

import { isArray, type Json } from "../json.ts";
import type { Viewed } from "../replica/view.ts";
import type { Entity } from "../schema/schema.ts";
import { matches, orderOf, type Query } from "./query.ts";

/** A record that changed: as it was and as it is. */
export interface RowChange {
  readonly before: Viewed | undefined;
  readonly after: Viewed | undefined;
}

/** Ids by value (as JSON) of one field. */
type Index = Map<string, Set<string>>;

/** Rows beyond twice the limit that are gathered before they are sorted. */
const SORT_MIN = 500;

export class Table {
  readonly #entity: Entity | undefined;
  readonly #rows = new Map<string, Viewed>();
  readonly #indexes = new Map<string, Index>();

  constructor(entity: Entity | undefined, rows: Iterable<Viewed>) {
    this.#entity = entity;
    for (const row of rows) {
      this.#rows.set(row.id, row);
    }
  }

  get size(): number {
    return this.#rows.size;
  }

  get entity(): Entity | undefined {
    return this.#entity;
  }

  /** Replaces a record or, without `after`, removes it. */
  set(id: string, after: Viewed | undefined): RowChange {
    const before = this.#rows.get(id);
    for (const [field, index] of this.#indexes) {
      for (const key of before === undefined ? [] : keysOf(before, field)) {
        index.get(key)?.delete(id);
      }
      for (const key of after === undefined ? [] : keysOf(after, field)) {
        add(index, key, id);
      }
    }
    if (after === undefined) {
      this.#rows.delete(id);
    } else {
      this.#rows.set(id, after);
    }
    return { before, after };
  }

  /**
   * The first records that match, in order, at most `limit`. Cost: the records of the rarest value among `where`, or all
   * records without one, and the sorting of those that are kept. The first question about a field makes its index.
   */
  select(query: Query, limit = Number.POSITIVE_INFINITY): Viewed[] {
    const order = orderOf(this.#entity, query);
    let found: Viewed[] = [];
    for (const row of this.#candidates(query)) {
      if (matches(query, row)) {
        found.push(row);
        // A screen full of many: those that are behind it are not sorted with the rest.
        if (found.length > 2 * limit + SORT_MIN) {
          found = found.sort(order).slice(0, limit);
        }
      }
    }
    return found.sort(order).slice(0, limit);
  }

  *#candidates(query: Query): Iterable<Viewed> {
    if (query.id !== undefined) {
      const row = this.#rows.get(query.id);
      yield* row === undefined ? [] : [row];
      return;
    }
    let rarest: Set<string> | undefined;
    for (const [field, value] of Object.entries(query.where ?? {})) {
      if (value === null || typeof value === "object") {
        continue;
      }
      const ids = this.#index(field).get(JSON.stringify(value)) ?? new Set();
      rarest = rarest === undefined || ids.size < rarest.size ? ids : rarest;
    }
    if (rarest === undefined) {
      yield* this.#rows.values();
      return;
    }
    for (const id of rarest) {
      const row = this.#rows.get(id);
      if (row !== undefined) {
        yield row;
      }
    }
  }

  #index(field: string): Index {
    let index = this.#indexes.get(field);
    if (index === undefined) {
      index = new Map();
      for (const row of this.#rows.values()) {
        for (const key of keysOf(row, field)) {
          add(index, key, row.id);
        }
      }
      this.#indexes.set(field, index);
    }
    return index;
  }
}

function keysOf(row: Viewed, field: string): string[] {
  const value: Json = row.fields[field] ?? null;
  if (value === null) {
    return [];
  }
  return isArray(value) ? value.map((item) => JSON.stringify(item)) : [JSON.stringify(value)];
}

function add(index: Index, key: string, id: string): void {
  const ids = index.get(key);
  if (ids === undefined) {
    index.set(key, new Set([id]));
  } else {
    ids.add(id);
  }
}
