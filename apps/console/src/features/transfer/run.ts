/** Carries out a planned import: one mutation per row, hundreds in a step; it can be paused, ended, and taken back. */

import type { Edit, Fields, LocalError, Result } from "@syncline/sdk";
import { mutateAll } from "@syncline/sdk/import";
import { canonicalCreate } from "@syncline/sdk/merge";
import type { Crm } from "../../data/client.ts";
import type { EntityName } from "../../data/live.ts";
import { relationsTo } from "../../data/relations.ts";
import { entityOf } from "../../data/schema.ts";
import type { SheetRow } from "./files.ts";
import {
  forgetParts,
  type KeptImport,
  keepImport,
  keepPart,
  loadParts,
  type Made,
  type MadeEntity,
  type MadeRow,
  markOf,
} from "./kept.ts";
import { countersOf, type Planned } from "./plan.ts";

export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly created: number;
  /** Rows that the device did not take, with the reason. */
  readonly failed: readonly Failure[];
  /** More waits for the server than this device holds: it goes on when some of it has been sent. */
  readonly isWaiting: boolean;
}

export interface Failure extends SheetRow {
  readonly reason: string;
}

/** How somebody holds up or ends what runs. */
export interface Control {
  readonly signal: AbortSignal;
  /** Resolves when it may go on. */
  readonly untilWanted: () => Promise<void>;
}

/** Rows of one step: what is lost of the screen's time, and how exact pausing is. */
const STEP = 250;
/** Mutations that may wait on this device; beyond, it waits for the server. */
export const WAITING_MAX = 20_000;
const LOOK_AGAIN_MS = 500;

interface RunOptions extends Control {
  /** Of the import, as it is kept. */
  readonly id: string;
  /** Of the file. */
  readonly name: string;
  readonly onProgress: (progress: Progress) => void;
}

/** Makes what was planned. Returns it as it is kept, and how it went. */
export async function runImport(
  client: Crm,
  planned: readonly Planned[],
  options: RunOptions,
): Promise<{ readonly kept: KeptImport; readonly progress: Progress }> {
  const { signal, id, name, onProgress } = options;
  const wanted = planned.flatMap((row) => (row.plan.does === "create" ? [{ ...row, edits: row.plan.edits }] : []));
  const counters = countersOf(planned);
  const failed: Failure[] = [];
  let done = 0;
  const progress = (isWaiting = false): Progress => ({
    done,
    total: wanted.length,
    created: done - failed.length,
    failed: [...failed],
    isWaiting,
  });
  const kept = (parts: number, state: KeptImport["state"]): KeptImport => ({
    id,
    name,
    beganMs,
    state,
    parts,
    counters: { ...counters, created: done - failed.length, failed: counters.failed + failed.length },
  });
  const beganMs = Date.now();
  let parts = 0;
  onProgress(progress());
  while (done < wanted.length) {
    await options.untilWanted();
    await room(client, signal, () => onProgress(progress(true)));
    if (signal.aborted) {
      break;
    }
    const rows = wanted.slice(done, done + STEP);
    const taken = await takeRows(client, rows, async () => {
      const made = rows.map(({ edits }) => madeOf(edits));
      const part = await keepPart(client, id, parts, made);
      parts += 1;
      return part.ok ? keepImport(client, kept(parts, "running")) : part;
    });
    failed.push(...taken);
    done += rows.length;
    onProgress(progress());
  }
  const ended = kept(parts, "ended");
  await keepImport(client, ended);
  return { kept: ended, progress: progress() };
}

type Wanted = Omit<Planned, "plan"> & { readonly edits: readonly Edit[] };

/** Makes some rows, after `keep` has written down what they are. Returns those that the device did not take. */
async function takeRows(
  client: Crm,
  rows: readonly Wanted[],
  keep: () => Promise<Result<undefined, LocalError>>,
): Promise<readonly Failure[]> {
  const kept = await keep();
  const results = kept.ok
    ? await mutateAll(
        client,
        rows.map(({ edits }) => edits),
      )
    : rows.map(() => kept);
  return rows.flatMap(({ line, cells }, place) => {
    const result = results[place];
    return result === undefined || result.ok ? [] : [{ line, cells, reason: result.error.message }];
  });
}

function madeOf(edits: readonly Edit[]): MadeRow {
  return edits.flatMap((edit) =>
    edit.edit === "create" && (edit.entity === "contacts" || edit.entity === "leads")
      ? [{ entity: edit.entity, id: edit.id, mark: markOfNew(edit.entity, edit.fields) }]
      : [],
  );
}

/** The mark of a record as it is right after it was created. */
export function markOfNew(entity: MadeEntity, fields: Fields): number {
  const canonical = canonicalCreate(entityOf(entity), fields);
  return markOf(entity, canonical.ok ? canonical.value : fields);
}

/** How an undo went: what somebody has worked on since stays. */
export type Undone = NonNullable<KeptImport["undone"]>;

export interface UndoProgress {
  readonly done: number;
  readonly total: number;
}

interface UndoOptions extends Control {
  readonly onProgress: (progress: UndoProgress) => void;
}

/**
 * Deletes what an import made and nobody has touched since, the newest first. Ended or interrupted, it goes on where it was when
 * it is begun again.
 */
export async function undoImport(client: Crm, kept: KeptImport, options: UndoOptions): Promise<Undone> {
  await keepImport(client, { ...kept, state: "undoing" });
  const plan = planUndo(await loadParts(client, kept), await readAround(client));
  const { mutations } = plan;
  let [done, deleted, failed] = [0, 0, 0];
  options.onProgress({ done, total: mutations.length });
  while (done < mutations.length) {
    await options.untilWanted();
    await room(client, options.signal, () => undefined);
    if (options.signal.aborted) {
      break;
    }
    const some = mutations.slice(done, done + STEP);
    const results = await mutateAll(client, some);
    for (const [place, result] of results.entries()) {
      const count = some[place]?.length ?? 0;
      deleted += result.ok ? count : 0;
      failed += result.ok ? 0 : count;
    }
    done += some.length;
    options.onProgress({ done, total: mutations.length });
  }
  const before = kept.undone?.deleted ?? 0;
  const undone = { deleted: before + deleted, kept: plan.kept, failed };
  const isWhole = done === mutations.length && failed === 0;
  await keepImport(client, { ...kept, state: isWhole ? "undone" : "ended", undone, ...(isWhole && { parts: 0 }) });
  if (isWhole) {
    await forgetParts(client, kept);
  }
  return undone;
}

/** The device's records around an import, as an undo looks at them. */
export interface Around {
  /** Fields by id. */
  readonly records: Readonly<Record<MadeEntity, ReadonlyMap<string, Fields>>>;
  /** Ids of records that are about a record, by its id. */
  readonly about: ReadonlyMap<string, readonly string[]>;
}

/** What the server itself notes about a lead is nobody's work. */
const NOTED_BY_SERVER = new Set(["lead_created", "import"]);

async function readAround(client: Crm): Promise<Around> {
  const rowsOf = new Map<EntityName, readonly { readonly id: string; readonly fields: object }[]>();
  const rows = async (entity: EntityName) => {
    const read = rowsOf.get(entity) ?? (await client.select(entity, {}));
    rowsOf.set(entity, read);
    return read as readonly { readonly id: string; readonly fields: Fields }[];
  };
  const about = new Map<string, string[]>();
  for (const { entity, field } of [...relationsTo("contacts"), ...relationsTo("leads")]) {
    for (const { id, fields } of await rows(entity)) {
      const named = fields[field];
      if (typeof named === "string" && !NOTED_BY_SERVER.has(String(fields.activity_type))) {
        const others = about.get(named) ?? [];
        others.push(id);
        about.set(named, others);
      }
    }
  }
  const byId = async (entity: MadeEntity) => new Map((await rows(entity)).map(({ id, fields }) => [id, fields]));
  return { records: { contacts: await byId("contacts"), leads: await byId("leads") }, about };
}

/**
 * Which records an undo deletes, a mutation for each row, and how many stay because somebody has changed them or written
 * something about them. Records that are gone already count as nothing. Pure.
 */
export function planUndo(
  rows: readonly MadeRow[],
  { records, about }: Around,
): { readonly mutations: readonly (readonly Edit[])[]; readonly kept: number } {
  const gone = new Set<string>();
  let kept = 0;
  const isFree = ({ entity, id, mark }: Made, fields: Fields): boolean =>
    markOf(entity, fields) === mark && (about.get(id) ?? []).every((other) => gone.has(other));
  const mutations = rows.toReversed().map((row) =>
    row.toReversed().flatMap((made): Edit[] => {
      const fields = records[made.entity].get(made.id);
      if (fields === undefined) {
        return [];
      }
      if (!isFree(made, fields)) {
        kept += 1;
        return [];
      }
      gone.add(made.id);
      return [{ edit: "delete", entity: made.entity, id: made.id }];
    }),
  );
  return { mutations: mutations.filter((edits) => edits.length > 0), kept };
}

/** Waits while too much waits to be sent: an outbox has an end. */
async function room(client: Crm, signal: AbortSignal, onWait: () => void): Promise<void> {
  while (!signal.aborted && (await client.status()).pending > WAITING_MAX) {
    onWait();
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
