/**
 * Which records are in blocks: hundreds that one download brought, as one value. A record is in one block at most, and what
 * stands beside the blocks by itself is newer.
 */

import { partitionPoint } from "../order.ts";
import type { RecordKey } from "../protocol/frames.ts";
import { nameOf } from "../replica/step.ts";
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

/** Records of one block at most: reading one of them reads all. */
const RECORDS_MAX = 250;

export function keyOf({ scope, entity, ids }: Head): string[] {
  return [scope, entity, ids[0] as string];
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
export function recordsOf({ scope, entity, ids, rvs }: Head, text = "[]"): BaseRecord[] {
  // A database that the browser deleted has no text: whoever writes next finds out.
  const all = JSON.parse(text) as BaseRecord["fields"][];
  return all.map((fields, index) => ({ entity, id: ids[index] as string, rv: rvs[index] as number, scope, fields }));
}

/** The blocks that records are in, by name. O(keys · heads). */
export function headsOf(heads: readonly Head[], keys: readonly RecordKey[]): Map<string, Head> {
  const found = new Map<string, Head>();
  for (const [entity, id] of keys) {
    for (const head of heads) {
      const { ids } = head;
      if (head.entity === entity && ids[partitionPoint(ids, (held) => held < id)] === id) {
        found.set(nameOf([entity, id]), head);
      }
    }
  }
  return found;
}
