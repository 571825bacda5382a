import "fake-indexeddb/auto";
import { IDBDatabase, IDBFactory, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { EMPTY_DIGEST } from "../../src/digest.ts";
import type { BaseRecord } from "../../src/replica/store.ts";
import { IndexedDbStore } from "../../src/storage/indexeddb.ts";

const LEAD: BaseRecord = {
  entity: "leads",
  id: "00000000-0000-7000-8000-000000000001",
  rv: 5,
  scope: "workspace",
  fields: { product_interest: "boats" },
};

function idOf(number: number): string {
  return `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});
afterEach(() => {
  vi.restoreAllMocks();
});

function open(): Promise<IndexedDbStore> {
  return IndexedDbStore.open({ name: "crm" });
}

/** Makes the n-th put from now on fail as a browser without room does. */
function failPut(nth: number, name: string): void {
  const { put } = IDBObjectStore.prototype;
  let count = 0;
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, ...request) {
    count += 1;
    if (count === nth) {
      throw new DOMException("no", name);
    }
    return put.apply(this, request);
  });
}

it("[RPL-2] whichever request of a step fails, nothing of the step is there", async () => {
  const step = {
    scopes: [["workspace", { seq: 5, digest: { count: 1, sum: "00000000000000ff" } }]] as const,
    basePut: [LEAD, { ...LEAD, id: "00000000-0000-7000-8000-000000000002" }],
    localPut: [["k", "v"]] as const,
  };
  for (let nth = 1; nth <= 4; nth++) {
    globalThis.indexedDB = new IDBFactory();
    const store = await open();
    failPut(nth, "QuotaExceededError");
    await expect(store.write(step), `put ${nth}`).rejects.toMatchObject({ code: "storage_full" });
    vi.restoreAllMocks();
    expect((await store.baseAll("leads")).length, `put ${nth}`).toBe(0);
    expect(await store.baseRows("workspace")).toEqual([]);
    expect((await store.scopes()).size).toBe(0);
    expect(await store.local("k")).toBeUndefined();
    await store.write(step);
    expect((await store.baseAll("leads")).length, "the store is usable afterwards").toBe(2);
  }
});

it("[SES-6] only what the server gives again is written without waiting for the disk", async () => {
  const store = await open();
  const transaction = vi.spyOn(IDBDatabase.prototype, "transaction");
  await store.write({ localPut: [["k", 1]] });
  await store.write({ basePut: [LEAD] });
  await store.write({ basePut: [{ ...LEAD, rv: 6 }], isRepeatable: true });
  const asked = transaction.mock.calls.filter(([, mode]) => mode === "readwrite").map(([, , options]) => options);
  expect(asked.map((options) => options?.durability)).toEqual(["strict", "strict", "relaxed"]);
});

it("[INV-5] the last to open the database owns it, and nobody before can write any more", async () => {
  const first = await open();
  await first.write({ localPut: [["k", 1]] });
  const second = await open();
  await expect(first.write({ basePut: [LEAD], localPut: [["k", 2]] })).rejects.toMatchObject({
    code: "storage_locked",
  });
  expect(await second.local("k")).toBe(1);
  expect((await second.baseAll("leads")).length).toBe(0);
  await second.write({ localPut: [["k", 3]] });
  expect(await first.local("k"), "reading is harmless").toBe(3);
});

it("a connection that the browser closed is opened anew, and ownership stays", async () => {
  const store = await open();
  await store.write({ basePut: [LEAD] });
  await store.close();
  expect(await store.base([["leads", LEAD.id]])).toEqual([LEAD]);
  await store.write({ baseDelete: [["leads", LEAD.id]] });
  expect((await store.baseAll("leads")).length).toBe(0);
});

it("a database that the browser deleted is not written to as if it were the old one", async () => {
  const store = await open();
  await store.write({ basePut: [LEAD] });
  await store.close();
  globalThis.indexedDB = new IDBFactory();
  await expect(store.write({ localPut: [["k", 1]] })).rejects.toMatchObject({ code: "storage_evicted" });
  expect(await store.local("k")).toBeUndefined();
});

it("a bug is not taken for a broken store", async () => {
  const store = await open();
  const write = store.write({ localPut: [["k", (() => 1) as unknown as null]] });
  await expect(write).rejects.toMatchObject({ code: "corrupt_local" });
  await expect(store.write({ outboxPut: [undefined as never] })).rejects.toThrow(TypeError);
});

it("a download is written in blocks, and what changes afterwards stands by itself", async () => {
  const put = vi.spyOn(IDBObjectStore.prototype, "put");
  const written = (name: string): number =>
    (put.mock.contexts as IDBObjectStore[]).filter((store) => store.name === name).length;
  const store = await open();
  const leads = Array.from({ length: 1_000 }, (_, index) => ({ ...LEAD, id: idOf(index) }));
  await store.write({ basePut: leads });
  expect([written("base"), written("heads"), written("blocks")]).toEqual([0, 4, 4]);
  put.mockClear();
  await store.write({ basePut: [{ ...LEAD, id: idOf(7), rv: 6 }] });
  expect([written("base"), written("heads"), written("blocks")]).toEqual([1, 0, 0]);
  put.mockClear();
  await store.write({ dropScopes: ["workspace"] });
  await store.write({ basePut: leads });
  expect([written("base"), written("blocks")], "a scope that comes back is a download again").toEqual([0, 4]);
  await store.write({ basePut: [{ ...LEAD, id: idOf(7), rv: 6 }] });
  await store.close();
  const again = await open();
  const held = (await again.baseAll("leads")).sort((a, b) => (a.id < b.id ? -1 : 1));
  expect(held).toEqual(leads.map((lead, index) => (index === 7 ? { ...lead, rv: 6 } : lead)));
});

it("[RPL-2] a write that failed leaves what is known of the blocks as it was", async () => {
  const store = await open();
  const leads = Array.from({ length: 300 }, (_, index) => ({ ...LEAD, id: idOf(index) }));
  for (let nth = 1; nth <= 5; nth++) {
    failPut(nth, "QuotaExceededError");
    await expect(store.write({ basePut: leads, localPut: [["k", 1]] }), `put ${nth}`).rejects.toMatchObject({
      code: "storage_full",
    });
    vi.restoreAllMocks();
    expect(await store.baseAll("leads")).toEqual([]);
    expect(await store.base([["leads", idOf(1)]])).toEqual([undefined]);
    expect(await store.baseRows("workspace")).toEqual([]);
  }
  // The browser may also find out when all of it is to be stored.
  const { put } = IDBObjectStore.prototype;
  vi.spyOn(IDBObjectStore.prototype, "put").mockImplementation(function (this: IDBObjectStore, value, ...key) {
    const request = put.call(this, value, ...key);
    request.onsuccess = () => (this.name === "local" ? this.transaction.abort() : undefined);
    return request;
  });
  await expect(store.write({ basePut: leads, localPut: [["k", 1]] })).rejects.toMatchObject({ code: "corrupt_local" });
  vi.restoreAllMocks();
  expect(await store.baseAll("leads")).toEqual([]);
  expect(await store.base([["leads", idOf(1)]])).toEqual([undefined]);
  expect(await store.baseRows("workspace")).toEqual([]);
  await store.write({ basePut: leads });
  await store.close();
  failPut(1, "QuotaExceededError");
  await expect(store.write({ dropScopes: ["workspace"], localPut: [["k", 1]] })).rejects.toMatchObject({
    code: "storage_full",
  });
  vi.restoreAllMocks();
  expect((await store.baseAll("leads")).length).toBe(300);
});

const OLD_VERSIONS = [
  { version: 1, record: { ...LEAD, keys: ['leads external_id "x"'] } },
  { version: 2, record: LEAD },
];

it.each(OLD_VERSIONS)(
  "a database of version $version is upgraded with everything in it",
  async ({ version, record }) => {
    const { openDB } = await import("idb");
    const old = await openDB("crm", version, {
      upgrade(db) {
        for (const name of ["meta", "scopes", "rows", "local"]) {
          db.createObjectStore(name);
        }
        const base = db.createObjectStore("base", { keyPath: ["entity", "id"] });
        if (version === 1) {
          base.createIndex("keys", "keys", { multiEntry: true });
        }
        const outbox = db.createObjectStore("outbox", { keyPath: "mutation.client_seq" });
        outbox.createIndex("touches", "touches", { multiEntry: true });
        const rejected = db.createObjectStore("rejected", { keyPath: ["mutation.client_seq", "mutation.mutation_id"] });
        rejected.createIndex("mutation", "mutation.mutation_id");
        db.createObjectStore("acknowledged", { keyPath: "mutation.client_seq" });
      },
    });
    const fields = { ...LEAD.fields, external_id: "x" };
    const mutation = { mutation_id: idOf(9), client_seq: 4, age_ms: 0, ops: [] };
    const pending = { mutation, authoredMs: 7 };
    const outcome = { client_seq: 4, mutation_id: idOf(9), outcome: "rejected", seq: 1 } as const;
    await old.put("meta", { cursor: 5 }, "replica");
    await old.put("scopes", { seq: 5, digest: EMPTY_DIGEST }, "workspace");
    await old.put("base", { ...record, fields });
    await old.put("base", { ...record, id: idOf(2), fields });
    await old.put("rows", LEAD.rv, ["workspace", LEAD.id, "leads"]);
    await old.put("outbox", { ...pending, touches: [`leads ${LEAD.id}`] });
    await old.put("rejected", { ...pending, outcome });
    await old.put("acknowledged", pending);
    await old.put("local", "kept", "draft");
    old.close();
    const store = await open();
    expect(await store.meta()).toEqual({ cursor: 5 });
    expect((await store.scopes()).get("workspace")?.seq).toBe(5);
    expect(await store.base([["leads", LEAD.id]])).toMatchObject([{ ...LEAD, fields }]);
    expect(await store.baseAll("leads")).toMatchObject([
      { id: LEAD.id, fields },
      { id: idOf(2), fields },
    ]);
    expect(await store.baseRows("workspace")).toEqual([
      [LEAD.id, "leads", 5],
      [idOf(2), "leads", 5],
    ]);
    expect(await store.outbox(0, 5)).toMatchObject([pending]);
    expect(await store.rejected()).toEqual([{ ...pending, outcome }]);
    expect(await store.acknowledged(0)).toEqual([pending]);
    expect(await store.local("draft")).toBe("kept");
    await store.write({ basePut: [{ ...LEAD, rv: 6 }], rejectedDelete: [idOf(9)], outboxDelete: [4] });
    await store.write({ basePut: Array.from({ length: 100 }, (_, index) => ({ ...LEAD, id: idOf(100 + index) })) });
    expect(await store.base([["leads", LEAD.id]])).toEqual([{ ...LEAD, rv: 6 }]);
    expect(await store.rejected()).toEqual([]);
    await store.write({ dropScopes: ["workspace"] });
    expect((await store.baseAll("leads")).length).toBe(0);
    await store.close();
  },
);
