/** Carries out a planned import: one mutation per row, each whole or not at all; it can be stopped, and taken back. */

import type { Edit, Fields, Json } from "@syncline/sdk";
import { canonicalCreate } from "@syncline/sdk/merge";
import type { Crm } from "../../data/client.ts";
import { entityOf, isEditable } from "../../data/schema.ts";
import type { Planned } from "./plan.ts";

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly created: number;
  /** Rows that the device did not take, with the reason. */
  readonly failed: readonly Failure[];
  /** More waits for the server than this device holds: it goes on when some of it has been sent. */
  readonly isWaiting: boolean;
}

export interface Failure {
  readonly line: number;
  readonly cells: readonly string[];
  readonly reason: string;
}

export interface Run {
  /** What was created, for an undo. */
  readonly made: readonly Edit[];
  readonly progress: Progress;
}

/** Rows between two looks at the screen. */
const STEP = 20;
/** Mutations that may wait on this device; beyond, the import waits for the server. */
export const WAITING_MAX = 2_000;
const LOOK_AGAIN_MS = 500;

export async function runImport(
  client: Crm,
  planned: readonly Planned[],
  { signal, onProgress }: { readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
): Promise<Run> {
  const wanted = planned.flatMap((row) => (row.plan.does === "create" ? [{ ...row, edits: row.plan.edits }] : []));
  const made: Edit[] = [];
  const failed: Failure[] = [];
  let done = 0;
  const progress = (isWaiting = false): Progress => ({
    done,
    total: wanted.length,
    created: done - failed.length,
    failed: [...failed],
    isWaiting,
  });
  for (const { line, cells, edits } of wanted) {
    if (done % STEP === 0) {
      onProgress(progress());
      await room(client, signal, () => onProgress(progress(true)));
    }
    if (signal.aborted) {
      break;
    }
    const saved = await client.mutate(edits);
    if (saved.ok) {
      made.push(...edits);
    } else {
      failed.push({ line, cells, reason: saved.error.message });
    }
    done += 1;
  }
  const ended = progress();
  onProgress(ended);
  return { made, progress: ended };
}

/** How an undo went: what somebody has worked on since stays. */
export interface Undone {
  readonly deleted: number;
  readonly kept: number;
  readonly failed: number;
}

/** Deletes what an import made and nobody has touched since, the newest first, so that leads go before their contacts. */
export async function undoImport(client: Crm, made: readonly Edit[]): Promise<Undone> {
  let [deleted, kept, failed] = [0, 0, 0];
  for (const edit of [...made].reverse()) {
    if (edit.edit !== "create") {
      continue;
    }
    const record = await client.get(edit.entity, edit.id);
    if (record === undefined) {
      continue;
    }
    if (isTouched(edit.entity, edit.fields, record.fields) || (await isReferredTo(client, edit.entity, edit.id))) {
      kept += 1;
      continue;
    }
    const saved = await client.mutate([{ edit: "delete", entity: edit.entity, id: edit.id }]);
    deleted += saved.ok ? 1 : 0;
    failed += saved.ok ? 0 : 1;
  }
  return { deleted, kept, failed };
}

/** Whether a record is not any more as it was created, in what a person may change. */
export function isTouched(entity: string, created: Fields, now: Fields): boolean {
  const canonical = canonicalCreate(entityOf(entity), created);
  const then: Fields = canonical.ok ? canonical.value : created;
  return [...new Set([...Object.keys(created), ...Object.keys(now)])].some(
    (name) =>
      entityOf(entity).fields.has(name) &&
      isEditable(entity, name, "update") &&
      JSON.stringify(plain(then[name])) !== JSON.stringify(plain(now[name])),
  );
}

/** A set is its elements, in whatever order. */
function plain(value: Json | undefined): Json {
  return Array.isArray(value) ? [...value].sort() : (value ?? null);
}

/** Whether somebody has written something about a record: a note, a task, a lead of a contact. */
async function isReferredTo(client: Crm, entity: string, id: string): Promise<boolean> {
  const about: readonly (readonly [name: string, field: string])[] =
    entity === "contacts"
      ? [
          ["leads", "contact_id"],
          ["opportunities", "contact_id"],
          ["tasks", "subject_id"],
        ]
      : [
          ["lead_activities", "lead_id"],
          ["lead_custom_fields", "lead_id"],
          ["tasks", "subject_id"],
        ];
  for (const [name, field] of about) {
    const found = await client.select(name, { where: { [field]: id } });
    // What the server itself notes about a lead is nobody's work.
    if (found.some(({ fields }) => !NOTED_BY_SERVER.has(String(fields.activity_type)))) {
      return true;
    }
  }
  return false;
}

const NOTED_BY_SERVER = new Set(["lead_created", "import"]);

/** Waits while too much waits to be sent: an outbox has an end. */
async function room(client: Crm, signal: AbortSignal, onWait: () => void): Promise<void> {
  while (!signal.aborted && (await client.status()).pending > WAITING_MAX) {
    onWait();
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
