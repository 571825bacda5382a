import { expect, it, vi } from "vitest";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import { StoreError } from "../../src/replica/store.ts";
import { offlineDevice, signedInStore } from "./offline.ts";

it("a copy whose lease has run out is neither shown nor edited", async () => {
  const store = await signedInStore();
  const meta = await store.meta();
  if (meta === undefined) {
    throw new Error("somebody has signed in");
  }
  await store.write({ meta: { ...meta, leaseUntilMs: 2_000 } });
  let nowMs = 1_000;
  const client = await Client.open<CrmEntities>({
    server: "http://127.0.0.1:9",
    ...crm,
    store: async () => store,
    mode: "web_app",
    deviceName: "test",
    platform: { WebSocket: class {} as unknown as typeof WebSocket, wallMs: () => nowMs },
  });
  const created = await client.db.contacts.create({ firstname: "Ada" });
  const id = created.ok ? created.value : "";
  const live = client.db.contacts.live();
  live.subscribe(() => undefined);
  await vi.waitFor(() => expect(live.snapshot().rows).toHaveLength(1));

  nowMs = 2_001;
  expect(await client.db.contacts.get(id)).toBeUndefined();
  expect(await client.db.contacts.select()).toEqual([]);
  expect(await client.db.contacts.update(id, { city: "X" })).toMatchObject({ error: { code: "lease_expired" } });
  expect((await client.status()).isLocked).toBe(true);
  // Looking for the server in vain is when it is noticed.
  await client.start();
  await vi.waitFor(() => expect(live.snapshot()).toEqual({ state: "loading", rows: [] }));
  await client.close();
});

it("a store that fails under a live query is told to whoever listens", async () => {
  const store = await signedInStore();
  const client = await offlineDevice(store);
  const events = vi.fn();
  client.onEvent(events);
  store.baseAll = () => Promise.reject(new StoreError("corrupt_local", "damaged"));
  client.db.contacts.live().subscribe(() => undefined);
  await vi.waitFor(() =>
    expect(events).toHaveBeenCalledWith({
      event: "store_failed",
      error: expect.objectContaining({ code: "corrupt_local" }),
    }),
  );
});
