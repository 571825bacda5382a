/** Scopes: how they are planned, loaded, compared, dropped and purged (spec §9, §12–§14). */

import { type Digest, DigestSum, digestEquals, EMPTY_DIGEST } from "../digest.ts";
import { ID_MAX, ID_MIN } from "../ids.ts";
import { partitionPoint } from "../order.ts";
import type { Range, RecordKey, VerifyReply, Welcome, WireOp } from "../protocol/frames.ts";
import { acknowledge, confirmArrived, offerAgain } from "./outcomes.ts";
import type { Replica } from "./replica.ts";
import { keysOf, nameOf, Step } from "./step.ts";
import type { BaseRow, DraftWrites, Loading, ReplicaMeta, ScopeState } from "./store.ts";

/** What became of a `welcome`. */
export type WelcomeEnd =
  /** `followed`: catch-up frames follow, and these scopes stand at their end afterwards. */
  | { readonly end: "taken"; readonly followed?: ReadonlySet<string> }
  /** The replica was filled from another server: stop, and keep everything (spec EPO-4). */
  | { readonly end: "backend_mismatch" }
  /** The server and this database do not agree about what was pushed (spec ID-2, EPO-3). */
  | { readonly end: "needs_new_client_id" };

/** Takes in a `welcome`: identity, grants, and what happens to each scope. */
export async function applyWelcome(replica: Replica, welcome: Welcome, nowMs: number): Promise<WelcomeEnd> {
  const { meta } = replica;
  if (meta.backendId !== undefined && meta.backendId !== welcome.backend_id) {
    return { end: "backend_mismatch" };
  }
  // The server knows mutations this database has not made: it is an older copy of another one.
  const offered =
    welcome.applied_client_seq >= meta.nextClientSeq
      ? undefined
      : await offerAgain(replica, welcome.applied_client_seq);
  if (offered === undefined) {
    return { end: "needs_new_client_id" };
  }
  const hasCatchUp = welcome.scopes.some(({ plan }) => plan.how === "catch_up");
  const held = await replica.store.scopes();
  const granted = new Set(welcome.scopes.map(({ id }) => id));
  const dropScopes = [...held.keys()].filter((id) => !granted.has(id));
  const scopes: [string, ScopeState][] = [];
  for (const { id, plan } of welcome.scopes) {
    const state = held.get(id) ?? { seq: 0, digest: EMPTY_DIGEST };
    const loading = loadingOf(plan, state);
    const isFresh = loading?.how === "snapshot" && loading.resume === undefined;
    const startsEmpty = isFresh || (plan.how === "catch_up" && plan.from === 0);
    if (startsEmpty && state.digest.count > 0) {
      dropScopes.push(id);
    }
    const isLeftAlone = plan.how === "resume" && !hasCatchUp;
    scopes.push([
      id,
      {
        seq: isLeftAlone ? welcome.head : state.seq,
        digest: startsEmpty ? EMPTY_DIGEST : state.digest,
        ...(loading !== undefined && { loading }),
      },
    ]);
  }
  const after: ReplicaMeta = {
    ...meta,
    backendId: welcome.backend_id,
    epoch: welcome.epoch,
    leaseUntilMs: nowMs + Math.max(welcome.lease_until_ms - welcome.server_ms, 0),
    ...(offered.length > 0 && { decidedUpto: welcome.applied_client_seq }),
    ...(!hasCatchUp && { cursor: welcome.head }),
    // With scopes still to be loaded the device is not in step, however far its cursor is.
    ...(!hasCatchUp && scopes.every(([, { loading }]) => loading === undefined) && { lastSyncMs: nowMs }),
  };
  const writes: DraftWrites = { dropScopes, scopes, outboxPut: offered, meta: after };
  confirmArrived(replica, writes);
  await replica.write(writes);
  const isFollowed = welcome.scopes.filter(({ plan }) => plan.how === "catch_up" || plan.how === "resume");
  return { end: "taken", ...(hasCatchUp && { followed: new Set(isFollowed.map(({ id }) => id)) }) };
}

function loadingOf(plan: Welcome["scopes"][number]["plan"], state: ScopeState): Loading | undefined {
  switch (plan.how) {
    case "resume":
    case "catch_up":
      return undefined;
    case "reconcile":
      return { how: "reconcile", seq: plan.seq };
    case "snapshot": {
      const held = state.loading;
      // Rows of an interrupted download stay good: it goes on where it stopped.
      return held?.how === "snapshot" && held.resume !== undefined
        ? held
        : { how: "snapshot", url: plan.url, seq: plan.seq, count: plan.count };
    }
  }
}

/** Drops a scope that is not granted any more, with everything in it (spec GRT-1). */
export async function dropScope(replica: Replica, scope: string): Promise<void> {
  await replica.write({ dropScopes: [scope] });
}

/** Forgets what is held of a scope, so that the next `hello` asks for all of it again (spec REP-4). */
export async function resetScope(replica: Replica, scope: string): Promise<void> {
  await replica.write({ dropScopes: [scope], scopes: [[scope, { seq: 0, digest: EMPTY_DIGEST }]] });
}

/** Stores rows of a snapshot and the token to go on from (spec SNP-3). */
export async function applySnapshotRows(
  replica: Replica,
  scope: string,
  rows: readonly WireOp[],
  resume: string | undefined,
): Promise<void> {
  const step = await Step.open(replica.store, keysOf(rows), replica.meta.cursor);
  const state = step.scopes.get(scope);
  // A page may arrive after its scope was taken away, or planned anew: it is not wanted any more.
  if (state?.loading?.how !== "snapshot") {
    return;
  }
  for (const row of rows) {
    if (row.op === "put" && row.scope === scope) {
      step.apply(row, "higher_rv", 0);
    }
  }
  const token = resume ?? state.loading.resume;
  const loading: Loading = { ...state.loading, ...(token !== undefined && { resume: token }) };
  step.scopes.set(scope, { ...state, loading });
  await replica.write(step.intoWrites());
}

/** Forgets how far a download came, because the server does not go on from there: the next one starts over. */
export async function restartSnapshot(replica: Replica, scope: string): Promise<void> {
  const state = (await replica.store.scopes()).get(scope);
  if (state?.loading?.how === "snapshot") {
    const { resume: _, ...loading } = state.loading;
    await replica.write({ scopes: [[scope, { ...state, loading }]] });
  }
}

/**
 * Download or comparison is complete: the scope stands at the seq it was made at, and the next `hello` catches up; when it was
 * the last one and stands where the cursor does, the device is in step.
 */
export async function finishLoading(replica: Replica, scope: string, seq: number, nowMs: number): Promise<void> {
  const scopes = await replica.store.scopes();
  const state = scopes.get(scope);
  if (state?.loading === undefined) {
    return;
  }
  const done = { seq, digest: state.digest };
  const states = [...scopes.set(scope, done).values()];
  const isWhole = states.every((each) => each.loading === undefined && each.seq === replica.meta.cursor);
  const meta = { ...replica.meta, ...(isWhole && { lastSyncMs: nowMs }) };
  await replica.write({ scopes: [[scope, done]], meta });
}

/** Marks a scope as being compared; its digest is not checked meanwhile. */
export async function beginReconcile(replica: Replica, scope: string, seq: number): Promise<void> {
  // One that nobody announced: all that came of it was a patch of a record that is not here (spec BAT-7).
  const state = (await replica.store.scopes()).get(scope) ?? { seq, digest: EMPTY_DIGEST };
  const meta = { ...replica.meta, repairs: replica.meta.repairs + 1 };
  await replica.write({ meta, scopes: [[scope, { ...state, loading: { how: "reconcile", seq } }]] });
}

/** The whole id range of a scope with the digest of the rows that are really there: what a comparison starts with. */
export async function wholeRange(replica: Replica, scope: string): Promise<Range> {
  return { lo: ID_MIN, hi: ID_MAX, digest: digestOf(await replica.store.baseRows(scope)) };
}

/** What a `verify_reply` leads to. */
export interface Comparison {
  /** Differing sub-ranges to ask about next. */
  readonly ranges: readonly Range[];
  /** Records to fetch. */
  readonly fetch: readonly RecordKey[];
}

/** Compares a reply with the base. Records the server does not list any more are removed here (spec REP-2). */
export async function compare(replica: Replica, reply: VerifyReply): Promise<Comparison> {
  const rows = await replica.store.baseRows(reply.scope);
  const ranges = (reply.split ?? []).flatMap((range): Range[] => {
    const digest = digestOf(within(rows, range.lo, range.hi));
    return digestEquals(digest, range.digest) ? [] : [{ ...range, digest }];
  });
  const fetch: RecordKey[] = [];
  const gone: RecordKey[] = [];
  for (const listed of reply.rows ?? []) {
    const held = within(rows, listed.lo, listed.hi);
    const ours = new Map(held.map(([id, entity, rv]) => [nameOf([entity, id]), rv] as const));
    const theirs = new Set(listed.rows.map(([entity, id]) => nameOf([entity, id])));
    for (const [id, entity, rv] of held) {
      if (!theirs.has(nameOf([entity, id])) && rv <= reply.seq) {
        gone.push([entity, id]);
      }
    }
    for (const [entity, id, rv] of listed.rows) {
      if (ours.get(nameOf([entity, id])) !== rv) {
        fetch.push([entity, id]);
      }
    }
  }
  if (gone.length > 0) {
    const step = await Step.open(replica.store, gone);
    for (const key of gone) {
      step.remove(key);
    }
    await replica.write(step.intoWrites());
  }
  return { ranges, fetch };
}

/** Stores fetched records; what was asked for and is not there any more is removed. */
export async function applyFetched(
  replica: Replica,
  asked: readonly RecordKey[],
  records: readonly WireOp[],
  seq: number,
): Promise<void> {
  const step = await Step.open(replica.store, [...asked, ...keysOf(records)]);
  const there = new Set(records.filter((op) => op.op === "put").map((op) => nameOf([op.entity, op.id])));
  for (const key of asked) {
    const held = step.record(key);
    if (!there.has(nameOf(key)) && held !== undefined && held.rv <= seq) {
      step.remove(key);
    }
  }
  for (const op of records) {
    step.apply(op, "arriving", seq);
  }
  await replica.write(step.intoWrites());
}

/** Deletes what the server gave, at once; what the person has not handed over yet stays (spec REV-2). */
export async function purgeBase(replica: Replica): Promise<void> {
  const { epoch: _, ...rest } = replica.meta;
  const scopes = await replica.store.scopes();
  const writes: DraftWrites = { dropScopes: [...scopes.keys()], meta: { ...rest, cursor: 0 } };
  // Decided ones waited for effects that will not come any more: the server has them.
  for (const pending of replica.outbox.all()) {
    if (pending.outcome !== undefined) {
      acknowledge(writes, pending);
    }
  }
  await replica.write(writes);
}

/** Deletes everything (spec REV-2). The identity and the reason stay, so that nobody takes the store for a new one. */
export async function purge(replica: Replica, code: string): Promise<void> {
  const { backendId: _backend, epoch: _epoch, ...rest } = replica.meta;
  await replica.write({ wipe: true, meta: { ...rest, cursor: 0, leaseUntilMs: 0, purged: code } });
}

function digestOf(rows: readonly BaseRow[]): Digest {
  const sum = new DigestSum();
  for (const [id, entity, rv] of rows) {
    sum.add(entity, id, rv);
  }
  return sum.value();
}

/** Rows with `lo <= id <= hi`; `rows` are in id order. */
function within(rows: readonly BaseRow[], lo: string, hi: string): readonly BaseRow[] {
  const first = partitionPoint(rows, ([id]) => id < lo);
  return rows.slice(
    first,
    Math.max(
      first,
      partitionPoint(rows, ([id]) => id <= hi),
    ),
  );
}
