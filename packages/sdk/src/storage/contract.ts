/**
 * The suite every local store passes (invariant 11): plain functions that throw with the rule they found broken.
 *
 * | rule | says |
 * |---|---|
 * | RPL-1 | a new store has no meta and holds nothing |
 * | RPL-2 | a write is applied whole or not at all, in the order of its members |
 * | RPL-3 | everything reads back exactly as written |
 * | RPL-4 | a put replaces the whole record; a delete of what is not there is no error |
 * | RPL-5 | rows, outbox, rejected and acknowledged come in their documented order |
 * | RPL-7 | dropping a scope removes its records, also from indexes, and nothing else |
 * | RPL-8 | the outbox is in order of `client_seq`, whatever was put first, and a put replaces |
 * | RPL-9 | acknowledged mutations are trimmed from below, or cleared |
 * | RPL-10 | a wipe leaves nothing but meta, and the same write may fill the store anew |
 * | RPL-11 | values of the device are kept, replaced and deleted by key |
 * | RPL-12 | what was written is there when the store is opened again (stores that outlive their process) |
 */

import { EMPTY_DIGEST } from "../digest.ts";
import { type Fields, holds, type Json, jsonEquals } from "../json.ts";
import type { Op, Outcome, OutcomeKind } from "../protocol/frames.ts";
import {
  type BaseRecord,
  type Pending,
  type Rejected,
  type ReplicaMeta,
  type ReplicaStore,
  type ReplicaWrites,
  type ScopeState,
  StoreError,
} from "../replica/store.ts";
import { readSchema, type Schema } from "../schema/schema.ts";

/** A store under test: opens it empty at first, and again with what it holds. */
export interface StoreUnderTest {
  open(schema: Schema): Promise<ReplicaStore>;
  /** Whether what is written outlives the store. */
  readonly isDurable: boolean;
}

export interface Case {
  readonly name: string;
  run(make: () => StoreUnderTest): Promise<void>;
}

/** Every case with its name, for whatever runs tests. */
export function cases(): Case[] {
  const checks = Object.entries(CASES).map(([name, check]): Case => {
    const run = async (make: () => StoreUnderTest): Promise<void> => {
      const store = await make().open(SCHEMA);
      await check(store);
      await store.close();
    };
    return { name, run };
  });
  return [...checks, { name: "[RPL-12] a store opened again holds what was written", run: reopened }];
}

const SCHEMA = readSchema({
  version: 1,
  roles: { agent: 30 },
  entities: {
    people: { fields: { name: { type: "text", sensitive: true } } },
    parts: { fields: { name: { type: "text" } } },
    things: {
      fields: {
        code: { type: "text", max_len: 2000, indexed: true, sensitive: true },
        kind: { type: "choice", choices: ["a", "b"] },
        size: { type: "integer", indexed: true },
        price: { type: "decimal", precision: 18, scale: 2 },
        is_hot: { type: "boolean", indexed: true },
        extra: { type: "json" },
        tags: { type: "set", items: "folded_text", indexed: true },
        names: { type: "set", items: "text", indexed: true, sensitive: true },
        words: { type: "set", items: "text" },
        visits: { type: "counter" },
        note: { type: "text", max_len: 100_000 },
      },
    },
  },
});

const WORKSPACE = "workspace";
const TEAM = "team:00000000-0000-0000-0000-0000000000aa";
const SEQ_MAX = Number.MAX_SAFE_INTEGER;

function id(number: number): string {
  return `00000000-0000-0000-0000-${number.toString(16).padStart(12, "0")}`;
}

function record(entity: string, number: number, rv: number, fields: Fields, scope = WORKSPACE): BaseRecord {
  return { entity, id: id(number), rv, scope, fields };
}

function meta(): ReplicaMeta {
  return {
    workspaceId: "acme",
    userId: id(1),
    deviceId: id(2),
    clientId: id(3),
    backendId: id(4),
    epoch: 1,
    cursor: SEQ_MAX,
    nextClientSeq: 8,
    decidedUpto: 7,
    lastSyncMs: 1_760_000_000_000,
    leaseUntilMs: 1_760_604_800_000,
    repairs: 5,
  };
}

function update(number: number): Op {
  return { op: "update", entity: "things", id: id(number), base_rv: 9, fields: { tags: { add: ["x"], remove: [] } } };
}

function pending(clientSeq: number, ops: readonly Op[]): Pending {
  const mutation = { mutation_id: id(clientSeq % 1_000_000), client_seq: clientSeq, age_ms: 0, ops };
  return { mutation, authoredMs: 1_000 + (clientSeq % 1_000) };
}

function outcomeOf(clientSeq: number, outcome: OutcomeKind): Outcome {
  const about = { client_seq: clientSeq, mutation_id: id(clientSeq), outcome, seq: 12 };
  return { ...about, code: "rule", detail: "no", conflict_ids: [id(70)] };
}

function refused(clientSeq: number, mutationId = id(clientSeq)): Rejected {
  const { mutation } = pending(clientSeq, [update(1)]);
  return {
    mutation: { ...mutation, mutation_id: mutationId },
    authoredMs: 1,
    outcome: outcomeOf(clientSeq, "rejected"),
  };
}

/** Throws with the rule unless the two are the same JSON. */
function same(found: unknown, wanted: unknown, rule: string): void {
  const [left, right] = [JSON.parse(JSON.stringify(found ?? null)), JSON.parse(JSON.stringify(wanted ?? null))];
  if (!jsonEquals(left, right)) {
    throw new Error(`${rule}: wanted ${JSON.stringify(right)}, found ${JSON.stringify(left)}`);
  }
}

async function refuses(work: () => Promise<unknown>, rule: string): Promise<void> {
  let code: string | undefined;
  try {
    await work();
  } catch (error) {
    code = error instanceof StoreError ? error.code : String(error);
  }
  same(code, "corrupt_local", rule);
}

async function put(store: ReplicaStore, ...basePut: BaseRecord[]): Promise<void> {
  await store.write({ basePut });
}

async function count(store: ReplicaStore, entity: string): Promise<number> {
  return (await store.baseAll(entity)).length;
}

/** Ids of the things whose field has a value or, of a set, the item. */
async function find(store: ReplicaStore, field: string, value: Json): Promise<string[]> {
  const all = await store.baseAll("things");
  const found = all.filter(({ fields }) => holds(fields, field, value));
  return found.map(({ id: of }) => of).sort();
}

function seqs(mutations: readonly { mutation: { client_seq: number } }[]): number[] {
  return mutations.map(({ mutation }) => mutation.client_seq);
}

/** Throws unless the store holds nothing beside meta. */
async function empty(store: ReplicaStore, rule: string): Promise<void> {
  for (const entity of ["people", "things", "parts"]) {
    same(await count(store, entity), 0, `${rule}: no ${entity}`);
    same(await store.baseAll(entity), [], `${rule}: nothing to scan in ${entity}`);
  }
  for (const scope of [WORKSPACE, TEAM]) {
    same(await store.baseRows(scope), [], `${rule}: no rows in ${scope}`);
  }
  same(await find(store, "size", 3), [], `${rule}: nothing to find`);
  same([...(await store.scopes())], [], `${rule}: no scopes`);
  same(await store.outbox(0, 10), [], `${rule}: an empty outbox`);
  same(await store.rejected(), [], `${rule}: nothing rejected`);
  same(await store.acknowledged(0), [], `${rule}: nothing acknowledged`);
  same(await store.local("k"), undefined, `${rule}: nothing of the device`);
}

/** Something everywhere. */
function full(number: number): ReplicaWrites {
  return {
    meta: meta(),
    scopes: [[TEAM, { seq: 1, digest: EMPTY_DIGEST }]],
    basePut: [record("things", number, 5, { size: 3, tags: ["a"] }, TEAM)],
    outboxPut: [pending(1, [update(number)])],
    rejectedPut: [refused(2)],
    acknowledgedPut: [pending(3, [])],
    localPut: [["k", "v"]],
  };
}

const CASES: Readonly<Record<string, (store: ReplicaStore) => Promise<void>>> = {
  "[RPL-1] a new store is empty": async (store) => {
    same(await store.meta(), undefined, "RPL-1: a new store has no meta");
    await empty(store, "RPL-1");
    same(await store.base([["things", id(1)]]), [undefined], "RPL-1: no record");
    same(await count(store, "nothing"), 0, "RPL-1: an unknown entity has no records");
  },

  "[RPL-2] a refused write leaves nothing": async (store) => {
    await put(store, record("things", 1, 5, { size: 1 }));
    // No store and no wire holds such a number (spec ID-5).
    const bad = { ...full(2), wipe: true, acknowledgedPut: [pending(2 ** 53, [])] };
    await refuses(async () => store.write(bad), "RPL-2: client_seq 2^53 is refused");
    same(await store.meta(), undefined, "RPL-2: meta was not written");
    same(await find(store, "size", 1), [id(1)], "RPL-2: nothing was wiped, indexes stay");
    await store.write({ baseDelete: [["things", id(1)]] });
    await empty(store, "RPL-2");
  },

  "[RPL-2] a write applies in the order of its members": async (store) => {
    await put(store, record("things", 1, 5, { size: 1 }));
    await store.write({
      dropScopes: [WORKSPACE],
      scopes: [[WORKSPACE, { seq: 9, digest: EMPTY_DIGEST }]],
      basePut: [
        record("things", 1, 6, { size: 2 }, TEAM),
        record("things", 2, 6, {}),
        record("things", 1, 7, { size: 3 }),
      ],
      baseDelete: [["things", id(2)]],
      outboxPut: [pending(1, [update(1)]), pending(2, [update(1)])],
      outboxDelete: [2],
      acknowledgedPut: [pending(3, []), pending(4, [])],
      acknowledgedTrim: 4,
    });
    same(await count(store, "things"), 1, "RPL-2: deletes come after puts");
    same(await find(store, "size", 3), [id(1)], "RPL-2: the later of two puts stays");
    same(await find(store, "size", 2), [], "RPL-2: the earlier of two puts leaves no index entry");
    same(await store.baseRows(TEAM), [], "RPL-2: nor a row in its scope");
    same((await store.scopes()).get(WORKSPACE)?.seq, 9, "RPL-2: scopes come after drops");
    same(seqs(await store.outbox(0, 10)), [1], "RPL-2: outbox deletes come after puts");
    same(seqs(await store.acknowledged(0)), [4], "RPL-2: trim comes after put");
  },

  "[RPL-3] meta and scopes read back": async (store) => {
    const { backendId: _backend, epoch: _epoch, ...blank } = meta();
    for (const written of [blank, meta(), { ...blank, purged: "device_revoked" }]) {
      await store.write({ meta: written });
      same(await store.meta(), written, "RPL-3: meta reads back whole");
    }
    const digest = { count: 3, sum: "ffffffffffffffff" };
    const states: [string, ScopeState][] = [
      [TEAM, { seq: 0, digest: EMPTY_DIGEST, loading: { how: "snapshot", url: "/s", seq: 4, resume: "t" } }],
      [WORKSPACE, { seq: 5, digest }],
    ];
    await store.write({ scopes: states.toReversed() });
    same([...(await store.scopes())], states, "RPL-3: scopes read back, in the order of their ids");
    const changed: ScopeState = { seq: 6, digest, loading: { how: "reconcile", seq: 7 } };
    await store.write({ scopes: [[TEAM, changed]] });
    same([...(await store.scopes())], [[TEAM, changed], states[1]], "RPL-3: a scope is replaced");
  },

  "[RPL-3] values read back exactly": async (store) => {
    const fields = {
      code: 'Ünïcode " \\ \u{1f600} \n\u0001',
      kind: "a",
      size: -SEQ_MAX,
      price: "12.50",
      is_hot: false,
      extra: { a: [1, 2.5, null, { b: 1e-7 }], z: 0.1 },
      tags: ["a", "b"],
      visits: 0,
    };
    const written = record("things", 1, SEQ_MAX, fields, TEAM);
    await put(store, written);
    same(
      await store.base([
        ["people", id(1)],
        ["things", id(1)],
      ]),
      [undefined, written],
      "RPL-3: a record reads back",
    );
    same(await store.baseAll("things"), [written], "RPL-3: also in a scan");
    const ops: Op[] = [
      { op: "create", entity: "things", id: id(1), fields: { code: "x" } },
      update(2),
      { op: "delete", entity: "things", id: id(3), base_rv: 8 },
      { op: "restore", entity: "things", id: id(4), base_rv: 8 },
      { op: "resolve", id: id(5), base_rv: 8, resolution: "custom", fields: { size: 1 } },
    ];
    const decided = { ...pending(4, ops), outcome: outcomeOf(4, "in_review"), isInBase: true };
    const rejected: Rejected = { mutation: decided.mutation, authoredMs: 5, outcome: outcomeOf(4, "rejected") };
    await store.write({ outboxPut: [decided], rejectedPut: [rejected], acknowledgedPut: [decided] });
    same(await store.outbox(0, 1), [decided], "RPL-3: a mutation reads back exactly");
    same(await store.acknowledged(0), [decided], "RPL-3: an acknowledged mutation reads back exactly");
    same(await store.rejected(), [rejected], "RPL-3: a rejected mutation reads back exactly");
  },

  "[RPL-4] puts replace and deletes forgive": async (store) => {
    await put(store, record("things", 1, 5, { code: "a", size: 3 }), record("people", 1, 5, { name: "A" }));
    const replaced = record("things", 1, 6, { size: 4 }, TEAM);
    await put(store, replaced);
    same(await store.base([["things", id(1)]]), [replaced], "RPL-4: a put replaces every field, rv and scope");
    same(await store.baseRows(WORKSPACE), [[id(1), "people", 5]], "RPL-4: it left its former scope");
    await store.write({
      baseDelete: [
        ["things", id(1)],
        ["things", id(9)],
        ["people", id(9)],
      ],
      outboxDelete: [9],
      rejectedDelete: [id(9)],
      localPut: [["never", null]],
    });
    same(await store.base([["things", id(1)]]), [undefined], "RPL-4: a delete deletes");
    same(await store.baseRows(TEAM), [], "RPL-4: also its row");
    same(await count(store, "people"), 1, "RPL-4: entities do not share ids");
  },

  "[RPL-5] rows of a scope are ordered": async (store) => {
    await put(store, record("things", 2, 5, {}), record("things", 1, 6, {}), record("people", 2, 7, {}));
    await put(store, record("things", 3, 8, {}, TEAM));
    const rows = [
      [id(1), "things", 6],
      [id(2), "people", 7],
      [id(2), "things", 5],
    ];
    same(await store.baseRows(WORKSPACE), rows, "RPL-5: rows by id, then entity");
    same(await store.baseRows(TEAM), [[id(3), "things", 8]], "RPL-5: rows are by scope");
  },

  "[RPL-7] dropping a scope takes only its records": async (store) => {
    const state: ScopeState = { seq: 5, digest: EMPTY_DIGEST };
    await store.write({
      scopes: [
        [WORKSPACE, state],
        [TEAM, state],
      ],
      basePut: [
        record("things", 1, 5, { size: 3, tags: ["a"] }, TEAM),
        record("people", 2, 5, {}, TEAM),
        record("things", 3, 5, { size: 3, tags: ["a"] }),
      ],
      outboxPut: [pending(1, [update(1)])],
    });
    await store.write({ dropScopes: [TEAM, "team:00000000-0000-0000-0000-0000000000bb"] });
    const held = await store.base([
      ["things", id(1)],
      ["people", id(2)],
    ]);
    same(held, [undefined, undefined], "RPL-7: its records are gone, of every entity");
    same(await find(store, "size", 3), [id(3)], "RPL-7: also from scalar indexes");
    same(await find(store, "tags", "a"), [id(3)], "RPL-7: also from set indexes");
    same(await store.baseRows(TEAM), [], "RPL-7: it has no rows");
    same([...(await store.scopes()).keys()], [WORKSPACE], "RPL-7: the scope is forgotten, others are not");
  },

  "[RPL-8] the outbox pages in order": async (store) => {
    await store.write({ outboxPut: [10, 2, 9, 100].map((clientSeq) => pending(clientSeq, [update(1)])) });
    same(seqs(await store.outbox(0, 10)), [2, 9, 10, 100], "RPL-8: in client_seq order");
    same(seqs(await store.outbox(9, 2)), [9, 10], "RPL-8: from `first` on, at most `limit`");
    same(seqs(await store.outbox(101, 2)), [], "RPL-8: nothing after the last");
    const decided = { ...pending(9, [update(1)]), outcome: outcomeOf(9, "applied") };
    await store.write({ outboxPut: [decided] });
    same(await store.outbox(9, 1), [decided], "RPL-8: a put replaces by client_seq");
  },

  "[RPL-4] a load of thousands is as many puts of one": async (store) => {
    const loaded = (numbers: readonly number[], rv: number, scope = WORKSPACE): BaseRecord[] =>
      numbers.map((number) => record("things", number, rv, { size: number % 7, code: `c${number}` }, scope));
    const numbers = (from: number, to: number, by = 1): number[] =>
      Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, index) => from + index * by);
    const expected = new Map<string, BaseRecord>();
    const write = async (writes: ReplicaWrites): Promise<void> => {
      for (const [key, held] of [...expected]) {
        if (writes.dropScopes?.includes(held.scope)) {
          expected.delete(key);
        }
      }
      for (const put of writes.basePut ?? []) {
        expected.set(`${put.entity} ${put.id}`, put);
      }
      for (const key of writes.baseDelete ?? []) {
        expected.delete(key.join(" "));
      }
      await store.write(writes);
      await check();
    };
    const check = async (): Promise<void> => {
      const all = [...expected.values()].sort((one, other) => (one.id < other.id ? -1 : 1));
      const things = all.filter(({ entity }) => entity === "things");
      const found = await store.baseAll("things");
      same(
        [...found].sort((one, other) => (one.id < other.id ? -1 : 1)),
        things,
        "RPL-4: all of an entity",
      );
      for (const scope of [WORKSPACE, TEAM]) {
        const rows = all.filter((held) => held.scope === scope).map(({ id: of, entity, rv }) => [of, entity, rv]);
        same(await store.baseRows(scope), rows, `RPL-4: rows of ${scope}`);
      }
      const keys = [0, 1, 2, 3, 500, 501, 1_500, 2_999, 9_999].map((number) => ["things", id(number)] as const);
      const wanted = keys.map((key) => expected.get(key.join(" ")));
      same(await store.base(keys), wanted, "RPL-4: by key");
      same(await count(store, "things"), things.length, "RPL-4: how many");
      const sized = things.filter(({ fields }) => fields.size === 3).map(({ id: of }) => of);
      same(await find(store, "size", 3), sized, "RPL-4: by an indexed field");
    };
    // Two scopes whose ids alternate, as those of two teams do.
    await write({ basePut: loaded(numbers(0, 1_998, 2), 5) });
    await write({ basePut: loaded(numbers(1, 1_999, 2), 5, TEAM) });
    // Again, with some that are newer, some that moved, and some that are new.
    await write({ basePut: loaded(numbers(1_500, 2_500), 6) });
    await write({ baseDelete: [2, 3, 4, 500, 2_400].map((number) => ["things", id(number)]) });
    await write({ basePut: [...loaded([3, 3, 501], 7, TEAM), ...loaded([3], 8)] });
    await write({ baseDelete: [["things", id(3)]] });
    await write({
      dropScopes: [TEAM],
      basePut: [...loaded(numbers(0, 400), 9, TEAM), ...loaded(numbers(3_000, 3_300), 9)],
    });
    await write({ dropScopes: [WORKSPACE] });
    await write({ basePut: loaded(numbers(0, 999), 10) });
    await store.write({ wipe: true, basePut: loaded(numbers(0, 499), 11) });
    expected.clear();
    await write({ basePut: loaded(numbers(0, 499), 11) });
  },

  "[RPL-9] acknowledged is trimmed and cleared": async (store) => {
    await store.write({ acknowledgedPut: [3, 10, 1, 2].map((clientSeq) => pending(clientSeq, [update(1)])) });
    same(seqs(await store.acknowledged(0)), [1, 2, 3, 10], "RPL-9: in order");
    same(seqs(await store.acknowledged(3)), [3, 10], "RPL-9: from `first` on");
    await store.write({ acknowledgedTrim: 3 });
    same(seqs(await store.acknowledged(0)), [3, 10], "RPL-9: trimmed below");
    await store.write({ acknowledgedClear: true });
    same(await store.acknowledged(0), [], "RPL-9: cleared");
  },

  "[RPL-9] rejected is kept until deleted": async (store) => {
    await store.write({ rejectedPut: [refused(9), refused(10), refused(2)] });
    await store.write({ rejectedDelete: [id(9)] });
    same(await store.rejected(), [refused(2), refused(10)], "RPL-9: in client_seq order, without the deleted one");
    const other = refused(2, id(1_000));
    await store.write({ rejectedPut: [other] });
    same(await store.rejected(), [refused(2), other, refused(10)], "RPL-9: numbers start over with a new client id");
  },

  "[RPL-10] a wipe leaves only meta": async (store) => {
    await store.write(full(1));
    await store.write({ wipe: true });
    await empty(store, "RPL-10");
    same(await store.meta(), meta(), "RPL-10: meta stays");
    await store.write(full(1));
    await store.write({ ...full(2), wipe: true });
    same(await find(store, "size", 3), [id(2)], "RPL-10: what the same write brings is there");
  },

  "[RPL-11] values of the device are kept by key": async (store) => {
    await store.write({
      localPut: [
        ["a", { deep: [1, null] }],
        ["b", "x"],
      ],
    });
    same(await store.local("a"), { deep: [1, null] }, "RPL-11: a value reads back");
    await store.write({
      localPut: [
        ["a", 7],
        ["b", null],
      ],
    });
    same(await store.local("a"), 7, "RPL-11: a value is replaced");
    same(await store.local("b"), undefined, "RPL-11: null deletes");
  },
};

async function reopened(make: () => StoreUnderTest): Promise<void> {
  const tested = make();
  if (!tested.isDurable) {
    return;
  }
  const first = await tested.open(SCHEMA);
  await first.write(full(1));
  await first.write({ basePut: [record("things", 2, 6, { size: 3 })], outboxPut: [pending(4, [update(2)])] });
  await first.write({ outboxDelete: [1], localPut: [["k", "w"]] });
  await first.close();
  const store = await tested.open(SCHEMA);
  same(await store.meta(), meta(), "RPL-12: meta");
  same(await find(store, "size", 3), [id(1), id(2)], "RPL-12: records and their index");
  same(await store.baseRows(TEAM), [[id(1), "things", 5]], "RPL-12: rows");
  same([...(await store.scopes()).keys()], [TEAM], "RPL-12: scopes");
  same(seqs(await store.outbox(0, 9)), [4], "RPL-12: the outbox");
  same(seqs(await store.rejected()), [2], "RPL-12: rejected");
  same(seqs(await store.acknowledged(0)), [3], "RPL-12: acknowledged");
  same(await store.local("k"), "w", "RPL-12: values of the device");
  await store.close();
}
