/** What the screen of duplicates works with: groups from this device's records, and what merging does. */

import type { Fields } from "@syncline/sdk";
import { useCallback, useEffect, useState } from "react";
import type { Crm } from "../../data/client.ts";
import { type EntityName, type Row, useClient, useLive } from "../../data/live.ts";
import { relationsTo } from "../../data/relations.ts";
import { contactName } from "../record/titles.ts";
import { type DuplicateGroup, findDuplicates } from "./find.ts";
import { forgetMerge, type KeptMerge, keepMerge, loadApart, loadInverse, loadMerges } from "./kept.ts";
import { EDITS_MAX, type MergePlan, planUnmerge, type Related } from "./merge.ts";

/** Changes that come one after the other are looked at together. */
const PAUSE_MS = 300;

/** Groups, the surest first; `undefined`: they are being looked for. Looked for anew after changes, between frames. */
export function useDuplicates(): readonly DuplicateGroup[] | undefined {
  const { state, rows } = useLive("contacts");
  const [groups, setGroups] = useState<readonly DuplicateGroup[]>();
  const isFirst = groups === undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the first search does not wait, those after it do
  useEffect(() => {
    const ended = new AbortController();
    const look = async (): Promise<void> => {
      const found = await findDuplicates(rows, { signal: ended.signal, breathe });
      if (found !== undefined) {
        setGroups(found);
      }
    };
    const timer = state === "ready" ? setTimeout(() => void look(), isFirst ? 0 : PAUSE_MS) : undefined;
    return () => {
      ended.abort();
      clearTimeout(timer);
    };
  }, [state, rows]);
  return groups;
}

/** Lets the browser draw and hear clicks. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

/** Groups that were set apart, and merges that can be taken back; `reload` reads them anew. */
export function useKept(): {
  readonly apart: ReadonlySet<string>;
  readonly merges: readonly KeptMerge[];
  readonly reload: () => Promise<void>;
} {
  const client = useClient();
  const [kept, setKept] = useState<{ apart: ReadonlySet<string>; merges: readonly KeptMerge[] }>();
  const reload = useCallback(async (): Promise<void> => {
    setKept({ apart: await loadApart(client), merges: await loadMerges(client) });
  }, [client]);
  useEffect(() => {
    void reload();
  }, [reload]);
  return { apart: kept?.apart ?? new Set(), merges: kept?.merges ?? [], reload };
}

/** Everything that is about these contacts. */
export async function readRelated(client: Crm, contacts: readonly Row<"contacts">[]): Promise<readonly Related[]> {
  const related: Related[] = [];
  for (const relation of relationsTo("contacts")) {
    for (const { id: contactId } of contacts) {
      const rows = await client.select(relation.entity, { where: { [relation.field]: contactId } });
      related.push(...rows.map(({ id }) => ({ relation, id, contactId })));
    }
  }
  return related;
}

type Said = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** Merges: first what takes it back is kept, then all of it is done in one mutation. */
export async function merge(client: Crm, contacts: readonly Row<"contacts">[], plan: MergePlan): Promise<Said> {
  const [winner] = contacts;
  if (winner === undefined || plan.edits.length > EDITS_MAX) {
    return {
      ok: false,
      message: `More than ${EDITS_MAX} records would change at once. Merge fewer of them at a time.`,
    };
  }
  const id = client.mintId();
  const about = { id, contactId: winner.id, name: contactName(winner), count: contacts.length, mergedMs: Date.now() };
  const kept = await keepMerge(client, about, plan.inverse);
  const saved = kept.ok ? await client.mutate(plan.edits) : kept;
  if (!saved.ok) {
    await forgetMerge(client, id);
    return { ok: false, message: saved.error.message };
  }
  return { ok: true };
}

/** Takes a merge back, as far as nobody has changed since what it did. */
export async function unmerge(client: Crm, { id }: KeptMerge): Promise<Said & { readonly kept?: number }> {
  const inverse = await loadInverse(client, id);
  const now = new Map<string, Fields | undefined>();
  for (const step of inverse) {
    now.set(`${step.entity} ${step.id}`, (await client.get(step.entity, step.id))?.fields);
  }
  const { edits, kept } = planUnmerge(inverse, (entity: EntityName, record) => now.get(`${entity} ${record}`));
  if (edits.length > 0) {
    const saved = await client.mutate(edits);
    if (!saved.ok) {
      return { ok: false, message: saved.error.message };
    }
  }
  await forgetMerge(client, id);
  return { ok: true, kept };
}
