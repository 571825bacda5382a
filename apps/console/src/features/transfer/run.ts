/** Carries out a planned import: one mutation per row, each whole or not at all; it can be paused and undone. */

import type { Edit } from "@syncline/sdk";
import type { Crm } from "../../data/client.ts";
import type { Planned } from "./plan.ts";

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly created: number;
  /** Rows that the device did not take, with the reason. */
  readonly failed: readonly Failure[];
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
const WAITING_MAX = 2_000;
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
  const progress = (): Progress => ({ done, total: wanted.length, created: done - failed.length, failed: [...failed] });
  for (const { line, cells, edits } of wanted) {
    if (signal.aborted) {
      break;
    }
    if (done % STEP === 0) {
      onProgress(progress());
      await room(client, signal);
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

/** Deletes what an import made, the newest first, so that leads go before their contacts. Returns how many could not be. */
export async function undoImport(client: Crm, made: readonly Edit[]): Promise<number> {
  let kept = 0;
  for (const edit of [...made].reverse()) {
    if (edit.edit === "create") {
      const saved = await client.mutate([{ edit: "delete", entity: edit.entity, id: edit.id }]);
      kept += saved.ok ? 0 : 1;
    }
  }
  return kept;
}

/** Waits while too much waits to be sent: an outbox has an end. */
async function room(client: Crm, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && (await client.status()).pending > WAITING_MAX) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
