import { expect, it, vi } from "vitest";
import { crm } from "../../src/crm/index.ts";
import { StoreError } from "../../src/replica/store.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { asyncStorage } from "../../src/storage/asyncstorage.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { watchQuota } from "../../src/storage/quota.ts";
import { until } from "../e2e/server.ts";
import { FakeAsyncStorage } from "./platforms.ts";

const SCHEMA = readSchema(crm.schema, crm.formats);
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

function pending(clientSeq: number) {
  const op = { op: "delete", entity: "contacts", id: ID, base_rv: 1 } as const;
  return { mutation: { mutation_id: ID, client_seq: clientSeq, age_ms: 0, ops: [op] }, authoredMs: 1 };
}

it("a full store lets go of what the server has long taken, and of nothing else", async () => {
  const inner = new MemoryStore();
  const { write } = MemoryStore.prototype;
  let isFull = false;
  inner.write = async (writes) => {
    const frees = writes.acknowledgedClear === true;
    if (isFull && !frees) {
      throw new StoreError("storage_full", "no room");
    }
    isFull = isFull && !frees;
    await write.call(inner, writes);
  };
  const storage = { estimate: async () => ({}), persist: async () => true };
  const store = await watchQuota(async () => inner, { onLow: () => undefined, storage })(SCHEMA);
  await store.write({ meta: META, outboxPut: [pending(2)], acknowledgedPut: [pending(1)] });
  isFull = true;
  await store.write({ outboxPut: [pending(3)] });
  expect((await store.outbox(0, 9)).map(({ mutation }) => mutation.client_seq)).toEqual([2, 3]);
  expect(await store.acknowledged(0)).toEqual([]);
  isFull = true;
  await expect(store.write({ outboxPut: [pending(4)] }), "nothing is left to let go of").rejects.toMatchObject({
    code: "storage_full",
  });
});

it("the browser is asked to keep a store that is somebody's, and the program told once when the room gets scarce", async () => {
  const persist = vi.fn(async () => true);
  const room = { usage: 79, quota: 100 };
  const onLow = vi.fn();
  const storage = { estimate: async () => ({ ...room }), persist };
  const store = await watchQuota(async () => new MemoryStore(), { onLow, storage })(SCHEMA);
  const writes = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) {
      await store.write({ localPut: [["k", index]] });
    }
  };
  await writes(1);
  expect(persist, "it is nobody's yet").not.toHaveBeenCalled();
  await store.write({ meta: META });
  await store.write({ meta: META });
  expect(persist).toHaveBeenCalledTimes(1);
  await writes(500);
  expect(onLow).not.toHaveBeenCalled();
  room.usage = 80;
  await writes(201);
  await until("it is told", async () => onLow.mock.calls.length > 0);
  await writes(500);
  expect(onLow.mock.calls).toEqual([[{ usage: 80, quota: 100 }]]);
});

it("AsyncStorage warns at 4 MB, once each time it comes to that", async () => {
  const onLow = vi.fn();
  const store = await asyncStorage(new FakeAsyncStorage(), { name: "crm", onLow })(SCHEMA);
  const put = (key: string, chars: number) => store.write({ localPut: [[key, "x".repeat(chars)]] });
  await put("a", 4_100_000);
  expect(onLow).not.toHaveBeenCalled();
  await put("b", 200_000);
  await put("c", 10_000);
  expect(onLow).toHaveBeenCalledTimes(1);
  await store.write({ localPut: [["b", null]] });
  await put("b", 200_000);
  expect(onLow).toHaveBeenCalledTimes(2);
});
