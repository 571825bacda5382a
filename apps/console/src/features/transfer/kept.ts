/**
 * Imports that were made on this device, kept in its local store: what each made can be taken back after the page was loaded
 * anew, or the browser was closed. Bounded: the oldest are forgotten, their records stay.
 */

import type { Fields, Json, LocalError, Result } from "@syncline/sdk";
import { loadDraft, saveDraft } from "@syncline/sdk/drafts";
import type { Crm } from "../../data/client.ts";
import { entityOf, isEditable } from "../../data/schema.ts";
import type { Counters } from "./plan.ts";

export type MadeEntity = "contacts" | "leads";

/** A record that an import made, and what it was like then ({@link markOf}). */
export interface Made {
  readonly entity: MadeEntity;
  readonly id: string;
  readonly mark: number;
}

/** The records of one row, in the order they were made. */
export type MadeRow = readonly Made[];

export interface KeptImport {
  readonly id: string;
  /** Of the file. */
  readonly name: string;
  readonly beganMs: number;
  /** `running`: it has not ended; without a tab that runs it, it was interrupted. */
  readonly state: "running" | "ended" | "undoing" | "undone";
  /** As far as it has come; `read` is how many rows the file has. */
  readonly counters: Counters;
  /** Of an undo. */
  readonly undone?: { readonly deleted: number; readonly kept: number; readonly failed: number };
  /** How many parts its records are kept in. */
  readonly parts: number;
}

/** Imports that are remembered. */
export const IMPORTS_MAX = 10;
/** Rows of all of them together: some 100 bytes each. */
export const ROWS_KEPT_MAX = 300_000;

const LIST = "imports";
const partKey = (id: string, part: number): string => `${LIST} ${id} ${part}`;

/** Newest first. */
export async function loadImports(client: Crm): Promise<readonly KeptImport[]> {
  const kept = await loadDraft(client, LIST);
  return kept.ok && Array.isArray(kept.value) ? (kept.value as unknown as readonly KeptImport[]) : [];
}

/** Puts an import into the list, or in the place of its former state; the oldest beyond the bounds are forgotten. */
export function keepImport(client: Crm, wanted: KeptImport): Promise<Result<undefined, LocalError>> {
  return alone(async () => {
    const others = (await loadImports(client)).filter(({ id }) => id !== wanted.id);
    const all = [wanted, ...others].sort((a, b) => b.beganMs - a.beganMs);
    let rows = 0;
    const isKept = (each: KeptImport, place: number): boolean => {
      rows += each.parts > 0 ? each.counters.created : 0;
      return each.id === wanted.id || (place < IMPORTS_MAX && rows <= ROWS_KEPT_MAX);
    };
    const kept = all.filter(isKept);
    for (const gone of all.filter((each) => !kept.includes(each))) {
      await forgetParts(client, gone);
    }
    return saveDraft(client, LIST, kept as unknown as Json);
  });
}

/** Before the records are made: what is there can always be taken back. */
export function keepPart(
  client: Crm,
  id: string,
  part: number,
  rows: readonly MadeRow[],
): Promise<Result<undefined, LocalError>> {
  const packed = rows.map((row) => row.map(({ entity, id: record, mark }) => [ENTITIES.indexOf(entity), record, mark]));
  return saveDraft(client, partKey(id, part), packed);
}

/** What an import made, in order. A part that cannot be read counts as none. */
export async function loadParts(client: Crm, { id, parts }: KeptImport): Promise<readonly MadeRow[]> {
  const rows: MadeRow[] = [];
  for (let part = 0; part < parts; part += 1) {
    const kept = await loadDraft(client, partKey(id, part));
    const packed = kept.ok && Array.isArray(kept.value) ? (kept.value as readonly (readonly PackedMade[])[]) : [];
    for (const row of packed) {
      rows.push(row.flatMap(unpacked));
    }
  }
  return rows;
}

export async function forgetParts(client: Crm, { id, parts }: KeptImport): Promise<void> {
  for (let part = 0; part < parts; part += 1) {
    await saveDraft(client, partKey(id, part), null);
  }
}

type PackedMade = readonly [entity: number, id: string, mark: number];
const ENTITIES: readonly MadeEntity[] = ["contacts", "leads"];

function unpacked([code, id, mark]: PackedMade): readonly Made[] {
  const entity = ENTITIES[code];
  return entity === undefined ? [] : [{ entity, id, mark }];
}

/**
 * A number for what a person may change of a record, the same as long as nobody has: values that are the schema's defaults count
 * as none, and a set is its elements in whatever order.
 */
export function markOf(entity: MadeEntity, fields: Fields): number {
  const values = [...entityOf(entity).fields.values()]
    .filter(({ name }) => isEditable(entity, name, "update"))
    .map((field): [string, Json] => [field.name, plain(fields[field.name] ?? field.default)])
    .filter(
      ([name, value]) => JSON.stringify(value) !== JSON.stringify(plain(entityOf(entity).fields.get(name)?.default)),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return hashOf(JSON.stringify(values));
}

function plain(value: Json | undefined): Json {
  return Array.isArray(value) ? (value.length === 0 ? null : [...value].sort()) : (value ?? null);
}

/** 53 bits of a text (cyrb53): enough to see whether one record has changed. */
function hashOf(text: string): number {
  let [high, low] = [0xdeadbeef, 0x41c6ce57];
  for (let place = 0; place < text.length; place += 1) {
    const unit = text.charCodeAt(place);
    high = Math.imul(high ^ unit, 2_654_435_761);
    low = Math.imul(low ^ unit, 1_597_334_677);
  }
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909);
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909);
  return 4_294_967_296 * (2_097_151 & low) + (high >>> 0);
}

/** One after the other, also in several tabs: the list is read, changed and written. */
function alone<T>(work: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  return locks === undefined ? work() : locks.request("syncline imports", work);
}
