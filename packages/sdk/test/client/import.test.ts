import { expect, it } from "vitest";
import { loadDraft, saveDraft } from "../../src/client/drafts.ts";
import { importOnce, mutateAll } from "../../src/client/import.ts";
import type { Edit } from "../../src/index.ts";
import { StoreError } from "../../src/index.ts";
import type { ReplicaWrites } from "../../src/replica/store.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { offlineDevice, signedInStore } from "./offline.ts";

function idOf(number: number): string {
  return `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

function contact(number: number, email = `p${number}@example.com`): Edit {
  return { edit: "create", entity: "contacts", id: idOf(number), fields: { firstname: `P${number}`, email } };
}

const EDITS = [
  contact(1),
  contact(2, "no address"),
  contact(3),
  { ...contact(4), entity: "nothing" } as Edit,
  contact(5),
];

it("[SDK-5] legacy data goes into the outbox once, and what does not fit is kept with its reason", async () => {
  const store = await signedInStore();
  const client = await offlineDevice(store);
  for (const round of [1, 2]) {
    const report = await importOnce(client, "old", EDITS);
    expect(report, `round ${round}`).toMatchObject({
      ok: true,
      value: {
        done: 5,
        refused: [
          { edit: EDITS[1], error: { code: "validation", field: "email" } },
          { edit: EDITS[3], error: { code: "unknown_entity" } },
        ],
      },
    });
    expect((await client.db.contacts.select({ sort: "firstname" })).map(({ fields }) => fields.firstname)).toEqual([
      "P1",
      "P3",
      "P5",
    ]);
    expect((await client.status()).pending).toBe(3);
  }
  expect(await importOnce(client, "other", [contact(6)])).toMatchObject({ ok: true, value: { done: 1 } });
});

it("[SDK-5] interrupted at any step and begun again it loses nothing and doubles nothing", async () => {
  // More than one step of the store takes.
  const many = [...EDITS, ...Array.from({ length: 1_200 }, (_, index) => contact(100 + index))];
  for (let failing = 1; failing <= 5; failing++) {
    const store = await signedInStore();
    let writes = 0;
    const { write } = MemoryStore.prototype;
    store.write = (step: ReplicaWrites) => {
      writes += 1;
      return writes === failing ? Promise.reject(new StoreError("storage_full", "no room")) : write.call(store, step);
    };
    const first = await importOnce(await offlineDevice(store), "old", many);
    expect(first.ok, `write ${failing}`).toBe(failing > 3);
    const client = await offlineDevice(store);
    const second = await importOnce(client, "old", many);
    expect(second.ok && second.value.refused).toHaveLength(2);
    expect((await client.status()).pending).toBe(1_203);
  }
});

it("[SDK-5] many mutations are taken in few steps, each whole or not at all, and the later build on the earlier", async () => {
  const store = await signedInStore();
  const writes: ReplicaWrites[] = [];
  const { write } = MemoryStore.prototype;
  store.write = (step: ReplicaWrites) => {
    writes.push(step);
    return write.call(store, step);
  };
  const client = await offlineDevice(store);
  const lead = (number: number): Edit => ({
    edit: "create",
    entity: "leads",
    id: client.mintId(),
    fields: { contact_id: idOf(number), product_interest: `boat ${number}` },
  });
  const mutations: Edit[][] = [
    [contact(1)],
    [lead(1)],
    [contact(2, "no address"), lead(1)],
    [{ edit: "update", entity: "contacts", id: idOf(1), fields: { city: "London" } }],
    [{ edit: "delete", entity: "contacts", id: idOf(77) }],
    ...Array.from({ length: 1_000 }, (_, index) => [contact(100 + index), lead(100 + index)]),
  ];
  const progress: number[] = [];
  const results = await mutateAll(client, mutations, { onProgress: (done) => progress.push(done) });
  expect(progress).toEqual([500, 1_000, 1_005]);
  expect(writes).toHaveLength(3);
  expect(results).toHaveLength(1_005);
  expect(results.slice(0, 5)).toMatchObject([
    { ok: true, value: { clientSeq: 1, ids: [idOf(1)] } },
    { ok: true, value: { clientSeq: 2 } },
    { ok: false, error: { code: "validation", field: "email" } },
    { ok: true, value: { clientSeq: 3 } },
    { ok: false, error: { code: "not_found" } },
  ]);
  expect(results.slice(5).every(({ ok }) => ok)).toBe(true);
  const [first, second, third] = await store.outbox(0, 3);
  expect(first?.mutation.depends_on).toBeUndefined();
  expect(second?.mutation.depends_on).toEqual([1]);
  expect(third?.mutation.depends_on).toEqual([1]);
  expect((await client.status()).pending).toBe(1_003);
  expect((await client.db.contacts.get(idOf(1)))?.fields).toMatchObject({ firstname: "P1", city: "London" });
  expect(await client.db.leads.select()).toHaveLength(1_001);
  const ids = new Set((await store.outbox(0, 2_000)).map(({ mutation }) => mutation.mutation_id));
  expect(ids.size).toBe(1_003);
});

it("[SDK-5] a device that can take no more says so of all that are left, and a person may stop in between", async () => {
  const store = await signedInStore();
  const { write } = MemoryStore.prototype;
  let room = 1;
  store.write = (step: ReplicaWrites) => {
    room -= 1;
    return room < 0 ? Promise.reject(new StoreError("storage_full", "no room")) : write.call(store, step);
  };
  const client = await offlineDevice(store);
  const mutations = Array.from({ length: 1_200 }, (_, index) => [contact(1 + index)]);
  const results = await mutateAll(client, mutations);
  expect(results.map((result) => (result.ok ? "taken" : result.error.code))).toEqual([
    ...Array.from({ length: 500 }, () => "taken"),
    ...Array.from({ length: 700 }, () => "storage_full"),
  ]);
  expect((await client.status()).pending).toBe(500);
  room = 10;
  const stop = new AbortController();
  const some = await mutateAll(client, mutations.slice(500), { signal: stop.signal, onProgress: () => stop.abort() });
  expect(some).toHaveLength(500);
  expect((await client.status()).pending).toBe(1_000);
});

it("drafts are kept by key, replaced and deleted, and too large ones are refused", async () => {
  const client = await offlineDevice();
  await saveDraft(client, "contacts new", { firstname: "Ad" });
  await saveDraft(client, "contacts new", { firstname: "Ada" });
  expect(await loadDraft(client, "contacts new")).toEqual({ ok: true, value: { firstname: "Ada" } });
  await saveDraft(client, "contacts new", null);
  expect(await loadDraft(client, "contacts new")).toEqual({ ok: true, value: undefined });
  expect(await saveDraft(client, "x", "y".repeat(300_000))).toMatchObject({ ok: false, error: { code: "too_large" } });
  expect((await client.status()).pending).toBe(0);
});
