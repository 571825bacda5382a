/**
 * Merges that were made on this device, each with what takes it back, and groups that a person said are not the same. Kept in the
 * device's local store, bounded: the oldest are forgotten.
 */

import type { Json, LocalError, Result } from "@syncline/sdk";
import { loadDraft, saveDraft } from "@syncline/sdk/drafts";
import type { Crm } from "../../data/client.ts";
import type { Inverse } from "./merge.ts";

export interface KeptMerge {
  readonly id: string;
  /** Of the contact that stayed. */
  readonly contactId: string;
  readonly name: string;
  /** Contacts that became one. */
  readonly count: number;
  readonly mergedMs: number;
}

export const MERGES_MAX = 50;
export const APART_MAX = 2_000;
const LIST = "merges";
const APART = "not duplicates";
const inverseKey = (id: string): string => `${LIST} ${id}`;

/** Newest first. */
export function loadMerges(client: Crm): Promise<readonly KeptMerge[]> {
  return loadList<KeptMerge>(client, LIST);
}

/** Before the merge is made: what was done can always be taken back. Fails when it is more than the device keeps. */
export async function keepMerge(
  client: Crm,
  merge: KeptMerge,
  inverse: readonly Inverse[],
): Promise<Result<undefined, LocalError>> {
  const kept = await saveDraft(client, inverseKey(merge.id), inverse as unknown as Json);
  if (!kept.ok) {
    return kept;
  }
  const all = [merge, ...(await loadMerges(client)).filter(({ id }) => id !== merge.id)];
  for (const { id } of all.slice(MERGES_MAX)) {
    await saveDraft(client, inverseKey(id), null);
  }
  return saveDraft(client, LIST, all.slice(0, MERGES_MAX) as unknown as Json);
}

export function loadInverse(client: Crm, id: string): Promise<readonly Inverse[]> {
  return loadList<Inverse>(client, inverseKey(id));
}

/** A merge that was taken back, or that the device did not make after all. */
export async function forgetMerge(client: Crm, id: string): Promise<void> {
  const others = (await loadMerges(client)).filter((merge) => merge.id !== id);
  await saveDraft(client, inverseKey(id), null);
  await saveDraft(client, LIST, others as unknown as Json);
}

/** Keys of groups that are different people. */
export async function loadApart(client: Crm): Promise<ReadonlySet<string>> {
  return new Set(await loadList<string>(client, APART));
}

export async function keepApart(client: Crm, key: string, isApart: boolean): Promise<void> {
  const others = [...(await loadApart(client))].filter((held) => held !== key);
  await saveDraft(client, APART, (isApart ? [key, ...others] : others).slice(0, APART_MAX));
}

async function loadList<T>(client: Crm, key: string): Promise<readonly T[]> {
  const kept = await loadDraft(client, key);
  return kept.ok && Array.isArray(kept.value) ? (kept.value as unknown as readonly T[]) : [];
}
