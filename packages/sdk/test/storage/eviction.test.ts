import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { expect, it, vi } from "vitest";
import { crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { noticeEviction } from "../../src/storage/eviction.ts";
import { indexedDb } from "../../src/storage/indexeddb.ts";

const ID = "00000000-0000-7000-8000-000000000001";
const META = {
  workspaceId: "acme",
  userId: ID,
  deviceId: ID,
  clientId: ID,
  cursor: 0,
  nextClientSeq: 1,
  decidedUpto: 0,
  lastSyncMs: 0,
  leaseUntilMs: 0,
  repairs: 0,
};

it("[ID-2] a store that the browser deleted is told from a new one, with what went with it", async () => {
  globalThis.indexedDB = new IDBFactory();
  const held = new Map<string, string>();
  const marks = {
    getItem: (key: string) => held.get(key) ?? null,
    setItem: (key: string, value: string) => void held.set(key, value),
  };
  const onEvicted = vi.fn();
  const store = noticeEviction(indexedDb({ name: "crm" }), { name: "crm", onEvicted, marks });
  const open = () =>
    Client.open({
      server: "http://127.0.0.1:9",
      ...crm,
      store,
      mode: "web_app",
      deviceName: "test",
      platform: { WebSocket: class {} as unknown as typeof WebSocket },
    });

  const fresh = await store(readSchema(crm.schema));
  expect(onEvicted, "a new store").not.toHaveBeenCalled();
  await fresh.write({ meta: META });
  await fresh.close();
  const client = await open();
  for (const number of [1, 2]) {
    await client.mutate([{ edit: "create", entity: "contacts", id: ID.replace("1", String(number)), fields: {} }]);
  }
  await client.close();
  await (await open()).close();
  expect(onEvicted, "opened again").not.toHaveBeenCalled();

  globalThis.indexedDB = new IDBFactory();
  const emptied = await open();
  expect(onEvicted.mock.calls).toEqual([[{ pending: 2 }]]);
  expect(emptied.isReady).toBe(false);
});

it("a browser that allows no mark costs nothing but the mark", async () => {
  globalThis.indexedDB = new IDBFactory();
  const refuse = (): never => {
    throw new DOMException("", "SecurityError");
  };
  const onEvicted = vi.fn();
  const marks = { getItem: refuse, setItem: refuse };
  const store = await noticeEviction(indexedDb({ name: "crm" }), { name: "crm", onEvicted, marks })(
    readSchema(crm.schema, crm.formats),
  );
  await store.write({ meta: META });
  expect(await store.meta()).toEqual(META);
  expect(onEvicted).not.toHaveBeenCalled();
});
