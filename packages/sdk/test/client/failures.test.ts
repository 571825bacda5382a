/** Stores, listeners and platforms that fail: what is stored stays said to be stored, and nothing hangs. */

import { afterEach, expect, it, vi } from "vitest";
import type { Connect, Link, LinkListener } from "../../src/client/link.ts";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client, type ClientOptions } from "../../src/index.ts";
import type { ScopePlan, ServerFrame } from "../../src/protocol/frames.ts";
import type { ReplicaStore } from "../../src/replica/store.ts";
import { StoreError } from "../../src/replica/store.ts";
import { until, value } from "../e2e/server.ts";
import { offlineDevice, signedInStore } from "./offline.ts";

const CREDENTIALS = {
  email: "dana@acme.example",
  workspaceId: "acme",
  userId: "u",
  deviceId: "d",
  role: "agent",
  accessToken: "a",
  accessExpiresMs: Number.MAX_SAFE_INTEGER,
  refreshToken: "r",
};

afterEach(() => vi.restoreAllMocks());

/** A connection that opens at once; the test is the server. */
function fakeServer(): { connect: Connect; links: LinkListener[]; say: (frame: object) => void } {
  const links: LinkListener[] = [];
  const link: Link = { send: () => undefined, close: () => undefined };
  return {
    links,
    say: (frame) => links.at(-1)?.frame(frame as ServerFrame),
    connect: (_platform, _auth, _options, listener) => {
      links.push(listener);
      setTimeout(() => listener.opened(), 0);
      return link;
    },
  };
}

function welcome(...scopes: ScopePlan[]): object {
  return {
    type: "welcome",
    proto: 1,
    connection_id: "c",
    backend_id: "b",
    epoch: 1,
    server_ms: 0,
    applied_client_seq: 0,
    head: 7,
    schema: { version: 1, hash: "" },
    heartbeat_ms: 30_000,
    window: 4,
    scopes,
    lease_until_ms: 1_000_000,
    user_id: "u",
    role: "agent",
  };
}

function open(store: ReplicaStore, options: Partial<ClientOptions>): Promise<Client<CrmEntities>> {
  return Client.open<CrmEntities>({
    server: "http://127.0.0.1:9",
    ...crm,
    store: async () => store,
    mode: "web_app",
    deviceName: "test",
    platform: { WebSocket: class {} as unknown as typeof WebSocket },
    ...options,
  });
}

it("an edit that is stored is not said to have failed because a screen could not be read after it", async () => {
  const store = await signedInStore();
  const client = await offlineDevice(store);
  const events = vi.fn();
  client.onEvent(events);
  const live = client.db.contacts.live({ sort: "firstname" });
  live.subscribe(() => undefined);
  await until("it is read", async () => live.snapshot().state === "ready");
  const { base } = store;
  store.base = () => Promise.reject(new StoreError("corrupt_local", "damaged"));
  value(await client.db.contacts.create({ firstname: "Ada" }));
  expect(events).toHaveBeenCalledWith(expect.objectContaining({ event: "store_failed" }));
  expect(live.snapshot().state).toBe("failed");
  store.base = base;
  value(await client.db.contacts.create({ firstname: "Bea" }));
  expect(live.snapshot().state).toBe("ready");
  expect(live.snapshot().rows.map(({ fields }) => fields.firstname)).toEqual(["Ada", "Bea"]);
  expect((await client.status()).pending).toBe(2);
});

it("a store that cannot even be read has a status that says so", async () => {
  const store = await signedInStore();
  const client = await offlineDevice(store);
  value(await client.db.contacts.create({ firstname: "Ada" }));
  store.rejected = () => Promise.reject(new StoreError("storage_evicted", "gone"));
  expect(await client.status()).toMatchObject({ phase: "paused", pending: 1, storeFailure: "storage_evicted" });
});

it.each(["storage_full", "storage_evicted", "storage_locked", "corrupt_local"] as const)(
  "a store that fails with %s ends syncing until the program begins again, and the status says so",
  async (code) => {
    const store = await signedInStore();
    const server = fakeServer();
    const client = await open(store, { connect: server.connect });
    const failed = vi.fn();
    client.onEvent(({ event }) => failed(event));
    await client.start();
    await until("it greets", async () => (await client.status()).phase === "greeting");
    const { write } = store;
    store.write = () => Promise.reject(new StoreError(code, "no"));
    server.say(welcome());
    await until("it has failed", async () => (await client.status()).storeFailure === code);
    expect((await client.status()).phase).toBe("paused");
    expect(failed).toHaveBeenCalledWith("store_failed");
    store.write = write;
    await client.start();
    await until("it greets again", async () => (await client.status()).phase === "greeting");
    server.say(welcome());
    await until("all is well", async () => (await client.status()).phase === "live");
    expect(await client.status()).not.toHaveProperty("storeFailure");
    expect(server.links).toHaveLength(2);
    await client.close();
  },
);

it("while scopes are downloaded the device is not in step, and the status says how far it is", async () => {
  const store = await signedInStore();
  const server = fakeServer();
  const lines = [1, 2, 3].map((number) => {
    const id = `00000000-0000-7000-8000-00000000000${number}`;
    return JSON.stringify({ op: "put", entity: "contacts", id, rv: number, scope: "workspace", fields: {} });
  });
  let finish: () => void = () => undefined;
  const fetch = async (): Promise<Response> => {
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start(stream) {
        stream.enqueue(encoder.encode(`${lines.join("\n")}\n{"resume":"t"}\n`));
        finish = () => {
          stream.enqueue(encoder.encode('{"end":true,"seq":7}\n'));
          stream.close();
        };
      },
    });
    return new Response(body);
  };
  await store.write({ localPut: [["credentials", CREDENTIALS]] });
  const platform = { WebSocket: class {} as unknown as typeof WebSocket, fetch };
  const client = await open(store, { connect: server.connect, platform });
  const loading = vi.fn();
  client.onEvent(({ event }) => event === "loading" && loading());
  await client.start();
  await until("it greets", async () => (await client.status()).phase === "greeting");
  server.say(welcome({ id: "workspace", plan: { how: "snapshot", url: "/s?x=1", seq: 7, count: 10 } }));
  await until("three rows are here", async () => (await client.status()).loading?.done === 3);
  const status = await client.status();
  expect(status.loading).toEqual({ done: 3, total: 10 });
  expect(status.meta?.lastSyncMs).toBe(0);
  expect(loading).toHaveBeenCalled();
  finish();
  // Nothing came to the log meanwhile: nothing more is asked for, and nothing more will come.
  await until("it is in step", async () => ((await client.status()).meta?.lastSyncMs ?? 0) > 0);
  expect(await client.status()).not.toHaveProperty("loading");
  await client.close();
});

it("a page that may not connect there waits and tries again", async () => {
  const store = await signedInStore();
  await store.write({ localPut: [["credentials", CREDENTIALS]] });
  class ForbiddenSocket {
    constructor() {
      throw new DOMException("insecure", "SecurityError");
    }
  }
  const client = await open(store, { platform: { WebSocket: ForbiddenSocket as unknown as typeof WebSocket } });
  await client.start();
  await until("it waits to try again", async () => (await client.status()).phase === "waiting");
  await client.close();
});

it("a listener that throws keeps nobody from being told, and syncing goes on", async () => {
  const reported = vi.spyOn(console, "error").mockImplementation(() => undefined);
  const server = fakeServer();
  const client = await open(await signedInStore(), { connect: server.connect });
  const heard = vi.fn();
  client.onEvent(() => {
    throw new Error("a bug of the program");
  });
  client.onEvent(({ event }) => heard(event));
  const live = client.db.contacts.live();
  live.subscribe(() => {
    throw new Error("another one");
  });
  const rows = vi.fn();
  live.subscribe(rows);
  await client.start();
  await until("it greets", async () => (await client.status()).phase === "greeting");
  server.say(welcome());
  await until("it is live", async () => (await client.status()).phase === "live");
  expect(heard).toHaveBeenCalledWith("connected");
  value(await client.db.contacts.create({ firstname: "Ada" }));
  expect(rows).toHaveBeenCalled();
  expect(reported).toHaveBeenCalled();
  server.links.at(-1)?.lost(undefined);
  await until("it comes back", async () => server.links.length === 2);
  await client.close();
});
