/** Local edits: checked, completed with what the author saw, and durable before the screen says so (spec VEW-5). */

import { naturalId } from "../ids.ts";
import { encodedBytes, type Fields, type Json, jsonEquals, member, objectOf } from "../json.ts";
import { itemsOf } from "../merge/values.ts";
import type { ErrorClass } from "../protocol/codes.ts";
import { CONFLICTS, type Mutation, type Op, type RecordKey, type Resolution, targetOf } from "../protocol/frames.ts";
import { FRAME_BYTES_MAX, OPS_PER_MUTATION_MAX, OUTBOX_MUTATIONS_MAX } from "../protocol/limits.ts";
import { err, ok, type Result } from "../result.ts";
import { canonicalCreate, canonicalUpdate, type Invalid } from "../schema/canonical.ts";
import type { Entity } from "../schema/schema.ts";
import type { Replica } from "./replica.ts";
import { nameOf } from "./step.ts";
import type { Pending, Rejected } from "./store.ts";
import { type Seen, viewOf } from "./view.ts";

/** What a person does to one record. The replica adds what they had seen. */
export type Edit =
  /** `id`: minted by the caller; ignored where the schema derives it from the values. */
  | { readonly edit: "create"; readonly entity: string; readonly id: string; readonly fields: Fields }
  | { readonly edit: "update"; readonly entity: string; readonly id: string; readonly fields: Fields }
  | { readonly edit: "delete"; readonly entity: string; readonly id: string }
  | { readonly edit: "restore"; readonly entity: string; readonly id: string; readonly fields: Fields }
  | { readonly edit: "resolve"; readonly conflict: string; readonly resolution: Resolution; readonly fields: Fields };

/** Codes of errors that are made here, with their classes as in spec/CODES.md. */
export const LOCAL_CODES = {
  validation: "rejected",
  unknown_entity: "rejected",
  too_large: "rejected",
  not_found: "protocol",
  unauthenticated: "session",
  lease_expired: "session",
  storage_full: "local",
  storage_locked: "local",
  storage_evicted: "local",
  corrupt_local: "local",
  device_revoked: "fatal",
} as const satisfies Record<string, ErrorClass>;

export type LocalCode = keyof typeof LOCAL_CODES;

/** Why an edit was not taken. Nothing was stored. */
export interface LocalError {
  readonly code: LocalCode;
  readonly class: ErrorClass;
  /** What happened and what to do, for a person. */
  readonly message: string;
  readonly entity?: string;
  readonly field?: string;
}

/** A mutation in the outbox: its number, and the ids of its records in the order of the edits. */
export interface Drafted {
  readonly clientSeq: number;
  readonly ids: readonly string[];
}

/** When and under which name an edit is made; both are minted by the caller. */
export interface Stamp {
  readonly mutationId: string;
  /** The device's clock. */
  readonly nowMs: number;
}

/** What a mutation is drafted on: a replica, or one with drafts in its outbox that are not written yet. */
export type Drafting = Seen & Pick<Replica, "meta" | "isLocked">;

/** Room that the frame around a mutation takes. */
const FRAME_ROOM_BYTES = 8 * 1024;

/** Puts one mutation into the outbox; it is visible and durable when this resolves. Needs no network. */
export async function mutate(
  replica: Replica,
  edits: readonly Edit[],
  stamp: Stamp,
): Promise<Result<Drafted, LocalError>> {
  const draft = await draftOf(replica, edits, stamp);
  if (!draft.ok) {
    return draft;
  }
  await replica.write({ meta: afterDraft(replica, draft.value), outboxPut: [draft.value] });
  return ok(drafted(draft.value));
}

/** Mutations of this device by their id, with their number and records: all that are kept, whatever became of them. */
export async function findMutations({ outbox, store }: Replica): Promise<Map<string, Drafted>> {
  const kept = [...outbox.from(0), ...(await store.rejected()), ...(await store.acknowledged(0))];
  return new Map(kept.map((each) => [each.mutation.mutation_id, drafted(each)]));
}

/** Forgets a rejected mutation the person has seen; one that is not there is forgotten already. */
export async function discardRejected(replica: Replica, clientSeq: number): Promise<Result<undefined, LocalError>> {
  const rejected = await findRejected(replica, clientSeq);
  if (rejected !== undefined) {
    await replica.write({ rejectedDelete: [rejected.mutation.mutation_id] });
  }
  return ok(undefined);
}

/**
 * Sends a rejected mutation again as a new one, with other values for some fields of its first op; it leaves the rejected
 * list in the same step. Its base is what the device has now: the person looked at it again.
 */
export async function resendRejected(
  replica: Replica,
  clientSeq: number,
  changes: Fields,
  stamp: Stamp,
): Promise<Result<Drafted, LocalError>> {
  const rejected = await findRejected(replica, clientSeq);
  if (rejected === undefined) {
    return err(noSuchRejected(clientSeq));
  }
  const edits = rejected.mutation.ops.map((op, index) => editOf(op, index === 0 ? changes : {}));
  const draft = await draftOf(replica, edits, stamp);
  if (!draft.ok) {
    return draft;
  }
  await replica.write({
    meta: afterDraft(replica, draft.value),
    outboxPut: [draft.value],
    rejectedDelete: [rejected.mutation.mutation_id],
  });
  return ok(drafted(draft.value));
}

export function drafted({ mutation }: Pick<Pending, "mutation">): Drafted {
  return { clientSeq: mutation.client_seq, ids: mutation.ops.map((op) => targetOf(op)[1]) };
}

function afterDraft(replica: Replica, pending: Pending) {
  return { ...replica.meta, nextClientSeq: pending.mutation.client_seq + 1 };
}

async function findRejected(replica: Replica, clientSeq: number): Promise<Rejected | undefined> {
  return (await replica.store.rejected()).find((rejected) => rejected.mutation.client_seq === clientSeq);
}

/** A mutation of these edits with what its author saw, checked. It is nowhere yet. */
export async function draftOf(
  replica: Drafting,
  edits: readonly Edit[],
  stamp: Stamp,
): Promise<Result<Pending, LocalError>> {
  if (replica.meta.purged !== undefined) {
    return err(localError("device_revoked", "access of this device was withdrawn: sign in again"));
  }
  if (replica.isLocked(stamp.nowMs)) {
    return err(localError("lease_expired", "this device has been offline longer than it may: sync to unlock it"));
  }
  // Counting what the store has would cost more with every mutation that waits.
  if (replica.meta.nextClientSeq - replica.meta.decidedUpto > OUTBOX_MUTATIONS_MAX) {
    return err(localError("storage_full", `${OUTBOX_MUTATIONS_MAX} mutations wait already: sync first`));
  }
  if (edits.length === 0 || edits.length > OPS_PER_MUTATION_MAX) {
    return err(tooLarge());
  }
  const created = new Set<string>();
  const ops: Op[] = [];
  for (const edit of edits) {
    const op = await opOf(replica, edit, created);
    if (!op.ok) {
      return op;
    }
    if (op.value.op === "create") {
      created.add(nameOf(targetOf(op.value)));
    }
    ops.push(op.value);
  }
  const dependsOn = dependencies(replica, ops);
  const mutation: Mutation = {
    mutation_id: stamp.mutationId,
    client_seq: replica.meta.nextClientSeq,
    age_ms: 0,
    ops,
    ...(dependsOn.length > 0 && { depends_on: dependsOn }),
  };
  if (encodedBytes(mutation) > FRAME_BYTES_MAX - FRAME_ROOM_BYTES) {
    return err(tooLarge());
  }
  return ok({ mutation, authoredMs: stamp.nowMs });
}

/** Completes an edit with the base it was made on. `created`: by earlier edits of the same mutation. */
async function opOf(replica: Drafting, edit: Edit, created: ReadonlySet<string>): Promise<Result<Op, LocalError>> {
  if (edit.edit === "resolve") {
    return resolveOp(replica, edit);
  }
  const entity = replica.schema.entities.get(edit.entity);
  if (entity === undefined) {
    return err(localError("unknown_entity", `the schema has no entity \`${edit.entity}\``, { entity: edit.entity }));
  }
  if (edit.edit === "create") {
    return createOp(replica, entity, edit);
  }
  const { id } = edit;
  const key: RecordKey = [edit.entity, id];
  const [base] = await replica.store.base([key]);
  const about = { entity: edit.entity, id, base_rv: base?.rv ?? 0 };
  if (edit.edit === "restore") {
    const fields = canonicalUpdate(entity, edit.fields);
    return fields.ok
      ? ok({ op: "restore", ...about, ...someFields(fields.value) })
      : err(invalid(entity, fields.error));
  }
  const view = await viewOf(replica, key);
  if (view === undefined && !(edit.edit === "update" && created.has(nameOf(key)))) {
    return err(noSuchRecord(key));
  }
  if (edit.edit === "delete") {
    return ok({ op: "delete", ...about });
  }
  const patch = canonicalUpdate(entity, edit.fields);
  if (!patch.ok) {
    return err(invalid(entity, patch.error));
  }
  const held = view?.fields ?? {};
  // Saying again what is there is no change, and must not meet somebody else's.
  const news = Object.entries(patch.value).filter(([name, value]) => !jsonEquals(member(held, name), value));
  return ok({ op: "update", ...about, fields: setsAsDifferences(entity, held, news) });
}

async function createOp(
  replica: Drafting,
  entity: Entity,
  edit: Extract<Edit, { edit: "create" }>,
): Promise<Result<Op, LocalError>> {
  const full = canonicalCreate(entity, edit.fields);
  if (!full.ok) {
    return err(invalid(entity, full.error));
  }
  const id = (await naturalIdOf(replica, entity, full.value)) ?? edit.id;
  // Defaults are the server's to fill: sending them would overwrite newer ones.
  const given = Object.entries(full.value).filter(([name]) => member(edit.fields, name) !== null);
  return ok({ op: "create", entity: entity.name, id, fields: objectOf(given) });
}

/** The id that follows from the natural key (spec ID-3); a field without a value counts as the empty text. */
async function naturalIdOf(replica: Drafting, entity: Entity, fields: Fields): Promise<string | undefined> {
  if (entity.naturalKey === undefined) {
    return undefined;
  }
  const parts = entity.naturalKey.map((name) => {
    const value = member(fields, name);
    return value === null ? "" : typeof value === "string" ? value : JSON.stringify(value);
  });
  return naturalId(replica.meta.workspaceId, entity.name, parts.join("\u0000"));
}

async function resolveOp(replica: Drafting, edit: Extract<Edit, { edit: "resolve" }>): Promise<Result<Op, LocalError>> {
  const [conflict] = await replica.store.base([[CONFLICTS, edit.conflict]]);
  if (conflict === undefined) {
    return err(noSuchRecord([CONFLICTS, edit.conflict]));
  }
  const about = member(conflict.fields, "entity");
  const entity = replica.schema.entities.get(typeof about === "string" ? about : "");
  if (entity === undefined) {
    return err(localError("unknown_entity", `the schema has no entity \`${String(about)}\``));
  }
  const fields = canonicalUpdate(entity, edit.fields);
  if (!fields.ok) {
    return err(invalid(entity, fields.error));
  }
  const { resolution } = edit;
  return ok({ op: "resolve", id: edit.conflict, base_rv: conflict.rv, resolution, ...someFields(fields.value) });
}

function someFields(fields: Fields): { fields?: Fields } {
  return Object.keys(fields).length === 0 ? {} : { fields };
}

/** Pending mutations whose creations these ops touch or refer to (spec MUT-4). */
function dependencies(replica: Drafting, ops: readonly Op[]): number[] {
  const keys = new Map<string, RecordKey>();
  for (const op of ops) {
    const target = targetOf(op);
    keys.set(nameOf(target), target);
    const entity = replica.schema.entities.get(target[0]);
    const fields = op.op === "delete" || op.op === "resolve" ? {} : (op.fields ?? {});
    for (const [name, value] of Object.entries(fields)) {
      const references = entity?.fields.get(name)?.references;
      if (references !== undefined && typeof value === "string") {
        keys.set(nameOf([references, value]), [references, value]);
      }
    }
  }
  const needed = new Set<number>();
  for (const [entity, id] of keys.values()) {
    for (const { mutation, outcome } of replica.outbox.touching([entity, id])) {
      const creates = mutation.ops.some((op) => op.op === "create" && op.entity === entity && op.id === id);
      if (outcome === undefined && creates) {
        needed.add(mutation.client_seq);
      }
    }
  }
  return [...needed].sort((a, b) => a - b);
}

/** Whole sets become what was added and removed, as the author saw it: a concurrent add survives (spec MRG-4). */
function setsAsDifferences(entity: Entity, held: Fields, patch: readonly (readonly [string, Json])[]): Fields {
  return objectOf(
    patch.map(([name, value]): [string, Json] => {
      const isWhole = value === null || Array.isArray(value);
      if (entity.fields.get(name)?.kind.type !== "set" || !isWhole) {
        return [name, value];
      }
      const [before, after] = [itemsOf(member(held, name)), itemsOf(value)];
      const add = [...after].filter((item) => !before.has(item));
      return [name, { add, remove: [...before].filter((item) => !after.has(item)) }];
    }),
  );
}

function editOf(op: Op, changes: Fields): Edit {
  switch (op.op) {
    case "create":
      return { edit: "create", entity: op.entity, id: op.id, fields: { ...op.fields, ...changes } };
    case "update":
      return { edit: "update", entity: op.entity, id: op.id, fields: { ...op.fields, ...changes } };
    case "delete":
      return { edit: "delete", entity: op.entity, id: op.id };
    case "restore":
      return { edit: "restore", entity: op.entity, id: op.id, fields: op.fields ?? {} };
    case "resolve":
      return { edit: "resolve", conflict: op.id, resolution: op.resolution, fields: op.fields ?? {} };
  }
}

/** An error that is made here. */
export function localError(
  code: LocalCode,
  message: string,
  where: { entity?: string; field?: string } = {},
): LocalError {
  return { code, class: LOCAL_CODES[code], message, ...where };
}

function invalid(entity: Entity, { field, message }: Invalid): LocalError {
  return localError("validation", `${field}: ${message}`, { entity: entity.name, field });
}

function noSuchRecord([entity, id]: RecordKey): LocalError {
  return localError("not_found", `there is no ${entity} ${id} on this device`, { entity });
}

function noSuchRejected(clientSeq: number): LocalError {
  return localError("not_found", `the rejected list has no change number ${clientSeq}`);
}

function tooLarge(): LocalError {
  const kib = (FRAME_BYTES_MAX - FRAME_ROOM_BYTES) / 1024;
  return localError("too_large", `one change has 1 to ${OPS_PER_MUTATION_MAX} ops and at most ${kib} KiB`);
}
