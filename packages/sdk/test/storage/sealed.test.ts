import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, expect, it } from "vitest";
import { crmSchema } from "../../src/crm/index.ts";
import type { BaseRecord, ReplicaStore } from "../../src/replica/store.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { deviceKey } from "../../src/storage/devicekey.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { sealed } from "../../src/storage/sealed.ts";

const SCHEMA = readSchema(crmSchema);
const ID = "00000000-0000-7000-8000-000000000001";
const CANARY = "canary-7f3a";
const CONTACT: BaseRecord = {
  entity: "contacts",
  id: ID,
  rv: 5,
  scope: "workspace",
  fields: { firstname: CANARY, email: `${CANARY}@example.com`, city: "London", notes: CANARY },
};

let inner: MemoryStore;

beforeEach(() => {
  globalThis.indexedDB = new IDBFactory();
  inner = new MemoryStore();
});

async function open(name = "crm"): Promise<ReplicaStore> {
  return sealed(async () => inner, await deviceKey(name))(SCHEMA);
}

/** Everything the store below holds, as text. */
async function below(): Promise<string> {
  return JSON.stringify([
    await inner.baseAll("contacts"),
    await inner.outbox(0, 9),
    await inner.rejected(),
    await inner.acknowledged(0),
    await inner.local("credentials"),
  ]);
}

it("nothing personal and no token reaches the store below", async () => {
  const store = await open();
  const mutation = {
    mutation_id: ID,
    client_seq: 1,
    age_ms: 0,
    ops: [
      { op: "create", entity: "contacts", id: ID, fields: { lastname: CANARY, city: "Paris" } },
      { op: "resolve", id: ID, base_rv: 1, resolution: "custom", fields: { notes: CANARY } },
    ] as const,
  };
  const outcome = { client_seq: 1, mutation_id: ID, outcome: "rejected", seq: 1 } as const;
  const pending = { mutation, authoredMs: 1 };
  await store.write({
    basePut: [CONTACT],
    outboxPut: [pending],
    rejectedPut: [{ ...pending, outcome }],
    acknowledgedPut: [pending],
    localPut: [["credentials", { accessToken: CANARY }]],
  });
  const held = await below();
  expect(held).not.toContain(CANARY);
  expect(held, "what is not personal can be searched").toContain("London");
  expect(await store.base([["contacts", ID]])).toEqual([CONTACT]);
  expect(await store.outbox(0, 1)).toEqual([pending]);
  expect(await store.local("credentials")).toEqual({ accessToken: CANARY });
});

it("equal values are sealed differently each time", async () => {
  const store = await open();
  await store.write({
    localPut: [
      ["a", CANARY],
      ["b", CANARY],
    ],
  });
  expect(await inner.local("a")).not.toBe(await inner.local("b"));
});

it("a sealed value does not open in another place, when it was changed, or with another key", async () => {
  const store = await open();
  await store.write({
    basePut: [CONTACT],
    localPut: [
      ["a", "secret of a"],
      ["b", "secret of b"],
    ],
  });
  const [held] = await inner.base([["contacts", ID]]);
  const moved = [
    { ...held, id: ID.replace("1", "2") },
    { ...held, rv: 6 },
    {
      ...held,
      fields: { ...held?.fields, $sealed: String(held?.fields.$sealed).replace(/.$/, "A").replace(/..$/, "AB") },
    },
  ] as BaseRecord[];
  for (const record of moved) {
    await inner.write({ basePut: [record] });
    await expect(store.base([[record.entity, record.id]]), JSON.stringify(record)).rejects.toMatchObject({
      code: "corrupt_local",
    });
  }
  await inner.write({ localPut: [["a", (await inner.local("b")) ?? null]] });
  await expect(store.local("a")).rejects.toMatchObject({ code: "corrupt_local" });
  const stranger = await open("other");
  await expect(stranger.local("b")).rejects.toMatchObject({ code: "corrupt_local" });
});

it("the key of a device is made once, also by two tabs at the same moment, and cannot be read", async () => {
  const keys = await Promise.all([deviceKey("crm"), deviceKey("crm")]);
  const store = await sealed(async () => inner, keys[0])(SCHEMA);
  await store.write({ localPut: [["a", CANARY]] });
  const other = await sealed(async () => inner, keys[1])(SCHEMA);
  expect(await other.local("a")).toBe(CANARY);
  expect(await (await open()).local("a")).toBe(CANARY);
  await expect(crypto.subtle.exportKey("raw", keys[0])).rejects.toThrow();
});
