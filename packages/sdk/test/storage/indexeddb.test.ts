import "fake-indexeddb/auto";
import { IDBFactory, IDBObjectStore } from "fake-indexeddb";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { crmSchema } from "../../src/crm/index.ts";
import type { BaseRecord } from "../../src/replica/store.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { IndexedDbStore } from "../../src/storage/indexeddb.ts";

const SCHEMA = readSchema(crmSchema);
const LEAD: BaseRecord = {
  entity: "leads",
  id: "00000000-0000-7000-8000-000000000001",
  rv: 5,
  scope: "workspace",
  fields: { product_interest: "boats" },
};

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
});
afterEach(() => {
  vi.restoreAllMocks();
});

function open(): Promise<IndexedDbStore> {
  return IndexedDbStore.open({ name: "crm" }, SCHEMA);
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
  for (let nth = 1; nth <= 6; nth++) {
    globalThis.indexedDB = new IDBFactory();
    const store = await open();
    failPut(nth, "QuotaExceededError");
    await expect(store.write(step), `put ${nth}`).rejects.toMatchObject({ code: "storage_full" });
    vi.restoreAllMocks();
    expect(await store.baseCount("leads"), `put ${nth}`).toBe(0);
    expect(await store.baseRows("workspace")).toEqual([]);
    expect((await store.scopes()).size).toBe(0);
    expect(await store.local("k")).toBeUndefined();
    await store.write(step);
    expect(await store.baseCount("leads"), "the store is usable afterwards").toBe(2);
  }
});

it("[INV-5] the last to open the database owns it, and nobody before can write any more", async () => {
  const first = await open();
  await first.write({ localPut: [["k", 1]] });
  const second = await open();
  await expect(first.write({ basePut: [LEAD], localPut: [["k", 2]] })).rejects.toMatchObject({
    code: "storage_locked",
  });
  expect(await second.local("k")).toBe(1);
  expect(await second.baseCount("leads")).toBe(0);
  await second.write({ localPut: [["k", 3]] });
  expect(await first.local("k"), "reading is harmless").toBe(3);
});

it("a connection that the browser closed is opened anew, and ownership stays", async () => {
  const store = await open();
  await store.write({ basePut: [LEAD] });
  await store.close();
  expect(await store.base([["leads", LEAD.id]])).toEqual([LEAD]);
  await store.write({ baseDelete: [["leads", LEAD.id]] });
  expect(await store.baseCount("leads")).toBe(0);
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

it("a database of version 1, with its index, is upgraded with everything in it", async () => {
  const { openDB } = await import("idb");
  const first = await openDB("crm", 1, {
    upgrade(db) {
      for (const name of ["meta", "scopes", "rows", "local"]) {
        db.createObjectStore(name);
      }
      db.createObjectStore("base", { keyPath: ["entity", "id"] }).createIndex("keys", "keys", { multiEntry: true });
      const outbox = db.createObjectStore("outbox", { keyPath: "mutation.client_seq" });
      outbox.createIndex("touches", "touches", { multiEntry: true });
      const rejected = db.createObjectStore("rejected", { keyPath: ["mutation.client_seq", "mutation.mutation_id"] });
      rejected.createIndex("mutation", "mutation.mutation_id");
      db.createObjectStore("acknowledged", { keyPath: "mutation.client_seq" });
    },
  });
  const fields = { ...LEAD.fields, external_id: "x" };
  await first.put("base", { ...LEAD, fields, keys: ['leads external_id "x"'] });
  await first.put("rows", LEAD.rv, ["workspace", LEAD.id, "leads"]);
  await first.put("local", "kept", "draft");
  first.close();
  const store = await open();
  const held = { ...LEAD, fields };
  expect(await store.base([["leads", LEAD.id]])).toEqual([held]);
  expect(await store.baseFind("leads", "external_id", "x", 5)).toEqual([LEAD.id]);
  expect(await store.local("draft")).toBe("kept");
  await store.write({ basePut: [{ ...held, rv: 6 }] });
  expect(await store.baseScan("leads", undefined, 5)).toEqual([{ ...held, rv: 6 }]);
  await store.close();
});
