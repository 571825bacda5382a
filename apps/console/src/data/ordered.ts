/** Long lists in order, kept so at the cost of what changed. */

import { useMemo, useState } from "react";

interface Identified {
  readonly id: string;
}

/** What a row is sorted by. `""` and −1 stand for nothing. */
export type SortKey = string | number;
export type KeyOf<R> = (row: R) => SortKey;

/** When more than this share of the rows has changed, all of them are sorted anew. */
const CHANGED_SHARE_MAX = 1 / 8;

/** A list that stays in order from one state of its rows to the next. */
export class Ordered<R extends Identified> {
  #rows: readonly R[] = [];
  #keyOf: KeyOf<R> | undefined;
  #isDescending = false;
  #ordered: readonly R[] = [];

  /** The rows in order. O(n) when few of them are others than at the last call, O(n log n) otherwise. */
  take(rows: readonly R[], keyOf: KeyOf<R>, isDescending: boolean): readonly R[] {
    const isSameOrder = keyOf === this.#keyOf && isDescending === this.#isDescending;
    const { gone, come } = isSameOrder ? changesOf(this.#rows, rows) : { gone: [], come: rows };
    if (gone.length + come.length > rows.length * CHANGED_SHARE_MAX) {
      this.#ordered = sorted(rows, keyOf, isDescending);
    } else if (gone.length + come.length > 0) {
      const left = new Set(gone);
      const kept = this.#ordered.filter((row) => !left.has(row));
      this.#ordered = woven(kept, sorted(come, keyOf, isDescending), orderBy(keyOf, isDescending));
    }
    [this.#rows, this.#keyOf, this.#isDescending] = [rows, keyOf, isDescending];
    return this.#ordered;
  }
}

/** Sorts by a key that is read once per row; rows without a key come last either way, equal ones by id. */
export function sorted<R extends Identified>(rows: readonly R[], keyOf: KeyOf<R>, isDescending: boolean): readonly R[] {
  const order = keyOrder(isDescending);
  return rows
    .map((row) => [keyOf(row), row] as const)
    .sort(order)
    .map(([, row]) => row);
}

function orderBy<R extends Identified>(keyOf: KeyOf<R>, isDescending: boolean): (a: R, b: R) => number {
  const order = keyOrder(isDescending);
  return (a, b) => order([keyOf(a), a], [keyOf(b), b]);
}

type Keyed = readonly [key: SortKey, row: Identified];

function keyOrder(isDescending: boolean): (a: Keyed, b: Keyed) => number {
  const sign = isDescending ? -1 : 1;
  const isEmpty = (key: SortKey): boolean => key === "" || key === -1;
  return ([a, one], [b, other]) => {
    if (isEmpty(a) !== isEmpty(b)) {
      return isEmpty(a) ? 1 : -1;
    }
    return sign * (a < b ? -1 : a > b ? 1 : one.id < other.id ? -1 : 1);
  };
}

/**
 * What has gone from a list and what has come to it. Rows that only moved may be named by both: taking out and putting in
 * again is right for them too.
 */
function changesOf<R>(before: readonly R[], after: readonly R[]): { gone: readonly R[]; come: readonly R[] } {
  if (before.length === after.length) {
    const places = [...after.keys()].filter((place) => before[place] !== after[place]);
    return { gone: places.map((place) => before[place] as R), come: places.map((place) => after[place] as R) };
  }
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) {
    head += 1;
  }
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) {
    tail += 1;
  }
  return { gone: before.slice(head, before.length - tail), come: after.slice(head, after.length - tail) };
}

/** Puts rows, in order, into a list in the same order. O(rows · log list), and one copy of the list. */
function woven<R>(list: readonly R[], rows: readonly R[], order: (a: R, b: R) => number): readonly R[] {
  let from = 0;
  const parts = rows.map((row) => {
    const start = from;
    let end = list.length;
    while (from < end) {
      const middle = (from + end) >> 1;
      if (order(list[middle] as R, row) < 0) {
        from = middle + 1;
      } else {
        end = middle;
      }
    }
    return [...list.slice(start, from), row];
  });
  return [...parts, list.slice(from)].flat();
}

/** Rows in order. `keyOf` is one function as long as the order is the same. */
export function useOrdered<R extends Identified>(
  rows: readonly R[],
  keyOf: KeyOf<R>,
  isDescending: boolean,
): readonly R[] {
  const [list] = useState(() => new Ordered<R>());
  return useMemo(() => list.take(rows, keyOf, isDescending), [list, rows, keyOf, isDescending]);
}
