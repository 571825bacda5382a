/**
 * Which records are in blocks: hundreds that one download brought, as one value. A record is in one block at most, and what
 * stands beside the blocks by itself is newer.
 */

import { partitionPoint } from "../order.ts";
import type { BaseRecord } from "../replica/store.ts";

/** What is known of a block without reading it. */
export interface Head {
  readonly scope: string;
  readonly entity: string;
  /** In order. */
  readonly ids: readonly string[];
  /** In the order of the ids. */
  readonly rvs: readonly number[];
}

/** Where a record is. */
export interface Place {
  readonly head: Head;
  readonly index: number;
}

/** Records of one block at most: reading one of them reads all. */
const RECORDS_MAX = 250;

export function keyOf({ scope, entity, ids }: Head): [scope: string, entity: string, first: string] {
  return [scope, entity, firstOf(ids)];
}

/** Records of one entity and scope, in id order, as blocks with their content. */
export function blocksOf(records: readonly BaseRecord[]): [head: Head, text: string][] {
  const blocks: [Head, string][] = [];
  for (let from = 0; from < records.length; from += RECORDS_MAX) {
    const some = records.slice(from, from + RECORDS_MAX);
    const { scope, entity } = some[0] as BaseRecord;
    const head = { scope, entity, ids: some.map(({ id }) => id), rvs: some.map(({ rv }) => rv) };
    blocks.push([head, JSON.stringify(some.map(({ fields }) => fields))]);
  }
  return blocks;
}

/** The records of a block. */
export function recordsOf({ scope, entity, ids, rvs }: Head, text: string | undefined): BaseRecord[] {
  // A database that the browser deleted has none: whoever writes next finds out.
  const fields = JSON.parse(text ?? "[]") as BaseRecord["fields"][];
  return fields.map((of, index) => ({ entity, id: ids[index] ?? "", rv: rvs[index] ?? 0, scope, fields: of }));
}

/** Where records of an entity are, by id: those that are in a block. O(heads + ids · log of a block) for ids that are near. */
export function placesOf(heads: readonly Head[], entity: string, ids: readonly string[]): Map<string, Place> {
  const sorted = [...ids].sort();
  const [first, last] = [firstOf(sorted), lastOf(sorted)];
  const near = heads.filter((head) => head.entity === entity && firstOf(head.ids) <= last && first <= lastOf(head.ids));
  const places = new Map<string, Place>();
  for (const head of near) {
    for (const id of sorted) {
      const index = partitionPoint(head.ids, (held) => held < id);
      if (head.ids[index] === id) {
        places.set(id, { head, index });
      }
    }
  }
  return places;
}

/**
 * Blocks that hold the first `limit` records of an entity from the id `from` on. `before`: where what is in other blocks may
 * begin; `undefined`: there is nothing in others.
 */
export function firstBlocks(
  heads: readonly Head[],
  entity: string,
  from: string,
  limit: number,
): { readonly blocks: readonly Head[]; readonly before?: string } {
  const all = heads.filter((head) => head.entity === entity && from <= lastOf(head.ids));
  all.sort((a, b) => (firstOf(a.ids) < firstOf(b.ids) ? -1 : 1));
  for (let count = 1; count < all.length; count++) {
    const blocks = all.slice(0, count);
    const before = firstOf(all[count]?.ids ?? []);
    const upto = (ids: readonly string[], end: string): number => partitionPoint(ids, (id) => id < end);
    const held = blocks.reduce((sum, { ids }) => sum + upto(ids, before) - upto(ids, from), 0);
    if (held >= limit) {
      return { blocks, before };
    }
  }
  return { blocks: all };
}

function firstOf(ids: readonly string[]): string {
  return ids[0] ?? "";
}

function lastOf(ids: readonly string[]): string {
  return ids.at(-1) ?? "";
}
