import { expect, it } from "vitest";
import { crmSchema } from "../../src/crm/index.ts";
import { EMPTY_DIGEST } from "../../src/digest.ts";
import type { BaseRecord, Pending, ReplicaMeta, ReplicaStore, ReplicaWrites } from "../../src/replica/store.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { asyncStorage } from "../../src/storage/asyncstorage.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { FakeAsyncStorage, type Fault } from "./platforms.ts";

const SCHEMA = readSchema(crmSchema);
const TEAM = "team:00000000-0000-0000-0000-0000000000aa";

function id(number: number): string {
  return `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

function lead(number: number, rv: number, scope = "workspace"): BaseRecord {
  return { entity: "leads", id: id(number), rv, scope, fields: { product_interest: `p${rv}` } };
}

function pending(clientSeq: number): Pending {
  const op = { op: "delete", entity: "leads", id: id(1), base_rv: 1 } as const;
  return { mutation: { mutation_id: id(clientSeq), client_seq: clientSeq, age_ms: 0, ops: [op] }, authoredMs: 1 };
}

const META: ReplicaMeta = {
  workspaceId: "acme",
  userId: id(1),
  deviceId: id(2),
  clientId: id(3),
  cursor: 0,
  nextClientSeq: 1,
  decidedUpto: 0,
  lastSyncMs: 0,
  leaseUntilMs: 0,
  repairs: 0,
};

const STEPS: readonly ReplicaWrites[] = [
  { meta: META, scopes: [["workspace", { seq: 1, digest: EMPTY_DIGEST }]], localPut: [["credentials", { a: 1 }]] },
  { basePut: [lead(1, 1), lead(2, 1), lead(3, 1, TEAM)], outboxPut: [pending(1)] },
  { meta: { ...META, cursor: 2 }, basePut: [lead(1, 2, TEAM)], baseDelete: [["leads", id(2)]], outboxDelete: [1] },
  { acknowledgedPut: [pending(1), pending(2)], acknowledgedTrim: 2, dropScopes: [TEAM], basePut: [lead(4, 3)] },
  { basePut: [{ ...lead(5, 4), fields: { notes: "x".repeat(200_000) } }] },
  { wipe: true, meta: { ...META, cursor: 9 }, basePut: [lead(6, 9)] },
];

function open(held: Map<string, string>, fault?: Fault): Promise<ReplicaStore> {
  return asyncStorage(new FakeAsyncStorage(held, fault), { name: "crm" })(SCHEMA);
}

/** Everything a store holds, as text. */
async function dump(store: ReplicaStore): Promise<string> {
  return JSON.stringify([
    await store.meta(),
    [...(await store.scopes())].sort(),
    (await store.baseAll("leads")).sort((a, b) => (a.id < b.id ? -1 : 1)),
    await store.baseRows("workspace"),
    await store.baseRows(TEAM),
    await store.outbox(0, 100),
    await store.rejected(),
    await store.acknowledged(0),
    await store.local("credentials"),
  ]);
}

/** Dumps after no step, one step, two steps, and how many keys each step touches. */
async function history(): Promise<{ dumps: string[]; touched: number[] }> {
  const platform = new FakeAsyncStorage();
  const store = await asyncStorage(platform, { name: "crm" })(SCHEMA);
  const dumps = [await dump(store)];
  const touched: number[] = [];
  for (const step of STEPS) {
    const before = platform.keysTouched;
    await store.write(step);
    dumps.push(await dump(store));
    touched.push(platform.keysTouched - before);
  }
  return { dumps, touched };
}

it("[RPL-2] whenever the process is killed, a step has happened or not, and what was promised is there", async () => {
  const { dumps, touched } = await history();
  let kills = 0;
  const total = touched.reduce((sum, count) => sum + count, 0);
  for (let atKey = 1; atKey <= total; atKey++) {
    const held = new Map<string, string>();
    const store = await open(held, { diesAt: atKey });
    let promised = 0;
    for (const step of STEPS) {
      const isTaken = await store.write(step).then(
        () => true,
        () => false,
      );
      if (!isTaken) {
        break;
      }
      promised += 1;
    }
    const after = await dump(await open(held));
    expect([dumps[promised], dumps[promised + 1]], `killed at key ${atKey}, ${promised} steps promised`).toContain(
      after,
    );
    expect(await dump(await open(held)), "opening again changes nothing").toBe(after);
    kills += 1;
  }
  expect(kills).toBeGreaterThan(50);
});

it("[RPL-2] a failure that passes leaves the step undone or done, and the store usable", async () => {
  const { dumps, touched } = await history();
  const total = touched.reduce((sum, count) => sum + count, 0);
  for (let atKey = 1; atKey <= total; atKey++) {
    const held = new Map<string, string>();
    const store = await open(held, { failsAt: [atKey] });
    for (const [index, step] of STEPS.entries()) {
      const before = await dump(store);
      try {
        await store.write(step);
      } catch (error) {
        expect(error).toMatchObject({ code: "corrupt_local" });
        expect(await dump(store), `key ${atKey}: nothing of a refused step is shown`).toBe(before);
        await store.write(step);
      }
      expect(await dump(store), `key ${atKey}`).toBe(dumps[index + 1]);
    }
    expect(await dump(await open(held)), `key ${atKey}`).toBe(dumps.at(-1));
  }
});

it("[RPL-2] lost answers, failures and a kill in one run never mix two steps", async () => {
  const { touched } = await history();
  const total = touched.reduce((sum, count) => sum + count, 0);
  const other = { basePut: [{ ...lead(7, 7), fields: { notes: "y".repeat(150_000) } }], outboxPut: [pending(7)] };
  for (let atKey = 1; atKey <= total; atKey++) {
    for (const diesAfter of [1, 2, 3, 4, 6, 9]) {
      const held = new Map<string, string>();
      const fault = { failsAt: [atKey, atKey + 1], isAnswerLost: true, diesAt: atKey + 1 + diesAfter };
      const store = await open(held, fault);
      let promised = 0;
      for (const step of STEPS) {
        const isTaken = await store.write(step).then(
          () => true,
          () => false,
        );
        if (!isTaken) {
          break;
        }
        promised += 1;
      }
      // Whoever was refused goes on with something else.
      await store.write(other).catch(() => undefined);
      const possible: string[] = [];
      for (const count of [promised, promised + 1]) {
        const wanted = new MemoryStore();
        STEPS.slice(0, count).forEach((step) => void wanted.apply(step));
        possible.push(await dump(wanted));
        wanted.apply(other);
        possible.push(await dump(wanted));
      }
      expect(possible, `key ${atKey}, killed ${diesAfter} later`).toContain(await dump(await open(held)));
    }
  }
});

it("a store beyond its room refuses what grows it, and takes what shrinks it", async () => {
  const store = await asyncStorage(new FakeAsyncStorage(), { name: "crm", charsMax: 2_000 })(SCHEMA);
  await store.write({ basePut: [lead(1, 1)], outboxPut: [pending(1)] });
  const large = { basePut: [{ ...lead(2, 1), fields: { notes: "x".repeat(2_000) } }] };
  await expect(store.write(large)).rejects.toMatchObject({ code: "storage_full" });
  expect((await store.baseAll("leads")).length).toBe(1);
  await store.write({ baseDelete: [["leads", id(1)]] });
  expect(await store.outbox(0, 9)).toHaveLength(1);
});

it("a value beyond what a platform takes is kept in parts, which go with it, and no character is cut in half", async () => {
  const held = new Map<string, string>();
  for (const shift of ["", "x"]) {
    const store = await asyncStorage(new FakeAsyncStorage(held), { name: "crm" })(SCHEMA);
    const large = { ...lead(1, 1), fields: { notes: shift + "\u{1f600}".repeat(200_000) } };
    await store.write({ basePut: [large] });
    for (const value of held.values()) {
      expect(value.length).toBeLessThanOrEqual(64 * 1024);
      expect(/\p{Surrogate}/u.test(value), "half of a character").toBe(false);
    }
    const again = await asyncStorage(new FakeAsyncStorage(held), { name: "crm" })(SCHEMA);
    expect(await again.base([["leads", id(1)]])).toEqual([large]);
    const smaller = { ...lead(1, 2), fields: { notes: "y".repeat(70_000) } };
    await again.write({ basePut: [smaller] });
    const third = await asyncStorage(new FakeAsyncStorage(held), { name: "crm" })(SCHEMA);
    expect(await third.base([["leads", id(1)]])).toEqual([smaller]);
    await third.write({ basePut: [lead(1, 3)] });
    expect([...held.keys()].filter((key) => key.includes("more/"))).toEqual([]);
    await third.write({ basePut: [large], outboxPut: [pending(1)] });
    await third.write({ wipe: true });
    expect([...held.keys()]).toEqual([]);
  }
});

it("a platform without room is full, and one that fails otherwise is not", async () => {
  for (const [message, code] of [
    ["Resource::kQuotaBytes quota exceeded", "storage_full"],
    ["database or disk is full (code 13 SQLITE_FULL)", "storage_full"],
    ["Extension context invalidated.", "corrupt_local"],
  ]) {
    const platform = new FakeAsyncStorage();
    const store = await asyncStorage(platform, { name: "crm" })(SCHEMA);
    platform.multiSet = () => Promise.reject(new Error(message));
    await expect(store.write({ basePut: [lead(1, 1)] }), message).rejects.toMatchObject({ code });
  }
});

it("stores of two names do not see one another, and a damaged one says so", async () => {
  const held = new Map([
    ["other/meta", "{"],
    ["crm/base/leads/1", "{"],
  ]);
  await expect(open(held)).rejects.toMatchObject({ code: "corrupt_local" });
  held.delete("crm/base/leads/1");
  expect(await (await open(held)).meta()).toBeUndefined();
  expect(held.get("other/meta")).toBe("{");
  await expect(asyncStorage(new FakeAsyncStorage(), { name: "a/b" })(SCHEMA)).rejects.toThrow("no slash");
});
