/** What happens to a device over its life: large scopes, tokens that end, restarts of the server, revocation. */

import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { CrmEntities } from "../../src/crm/index.ts";
import type { Client, ClientEvent, Edit, ReplicaStore } from "../../src/index.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { PASSWORD, type Server, signedIn, startServer, until, value } from "./server.ts";

const SYNC_MS = 20_000;
let server: Server;
const clients: Client<CrmEntities>[] = [];

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

async function device(email: string, options: Parameters<typeof signedIn>[2] = {}): Promise<Client<CrmEntities>> {
  const client = await signedIn(server, email, options);
  clients.push(client);
  return client;
}

async function synced(client: Client<CrmEntities>): Promise<void> {
  await client.start();
  expect(await client.untilSynced(SYNC_MS)).toBe(true);
}

/** Fetches of the platform, seen. */
function seeing(seen: string[]): typeof fetch {
  return (input, init) => {
    seen.push(new URL(String(input)).pathname);
    return fetch(input, init);
  };
}

it("[SNP-1] [SNP-3] a new device loads a large scope as a snapshot, and goes on live", async () => {
  const dana = await device("demo@syncline.dev");
  for (let part = 0; part < 6; part++) {
    const edits = Array.from(
      { length: 250 },
      (_, index): Edit => ({
        edit: "create",
        entity: "contacts",
        id: dana.mintId(),
        fields: { firstname: `S${part * 250 + index}`, lead_source: "large" },
      }),
    );
    value(await dana.mutate(edits));
  }
  await synced(dana);

  const seen: string[] = [];
  const { WebSocket } = await import("ws");
  const platform = { WebSocket: WebSocket as unknown as typeof globalThis.WebSocket, fetch: seeing(seen) };
  const milo = await device("manager@syncline.dev", { platform });
  await synced(milo);
  expect(seen).toContain("/api/sync/snapshot");
  expect(await milo.db.contacts.select({ where: { lead_source: "large" } })).toHaveLength(1_500);
  expect((await milo.status()).meta?.repairs).toBe(0);
  const id = value(await dana.db.contacts.create({ firstname: "after" }));
  await until("the next one comes live", async () => (await milo.db.contacts.get(id)) !== undefined);
});

it("[AUT-2] an access token that ran out is renewed, and the new pair is in the store before it is used", async () => {
  let store: ReplicaStore | undefined;
  const client = await device("demo@syncline.dev", {
    store: async () => {
      store = new MemoryStore();
      return store;
    },
  });
  const before = client.credentials;
  await synced(client);
  await client.pause();
  // As it is when the server's key has changed: the token looks good here, and is refused there.
  const credentials = { ...before, accessToken: "not.a.token" };
  await store?.write({ localPut: [["credentials", credentials]] });
  Object.assign(client.credentials ?? {}, credentials);
  value(await client.db.contacts.create({ firstname: "renewed" }));
  await synced(client);
  expect(client.credentials?.refreshToken).not.toBe(before?.refreshToken);
  expect(await store?.local("credentials")).toEqual(client.credentials);
  expect((await client.status()).pending).toBe(0);
});

it("[AUT-2] a refresh token that is spent asks the person to sign in, and the outbox is kept", async () => {
  const client = await device("demo@syncline.dev");
  await synced(client);
  await client.pause();
  Object.assign(client.credentials ?? {}, { accessToken: "not.a.token", refreshToken: "nor.this" });
  value(await client.db.contacts.create({ firstname: "kept" }));
  const events: ClientEvent["event"][] = [];
  client.onEvent(({ event }) => events.push(event));
  await client.start();
  await until("a person is asked", async () => events.includes("sign_in_needed"));
  expect((await client.status()).pending).toBe(1);
  value(await client.signIn({ email: "demo@syncline.dev", password: PASSWORD }));
  await synced(client);
  expect((await client.status()).pending).toBe(0);
});

it("[LIV-1] a running device follows live and survives a kill of the server", async () => {
  const [dana, milo] = [await device("demo@syncline.dev"), await device("manager@syncline.dev")];
  await synced(dana);
  await synced(milo);
  const { host } = new URL(server.url);
  await server.stop("SIGKILL");
  const id = value(await dana.db.contacts.create({ firstname: "meanwhile" }));
  server = await server.restart(host);
  await until("both came back", async () => (await milo.db.contacts.get(id))?.state === "synced", 30_000);
});

it("[REV-2] a revoked device hands over what is pending and deletes everything", async () => {
  const [dana, lost] = [await device("demo@syncline.dev"), await device("agent1@syncline.dev")];
  await synced(lost);
  await lost.pause();
  value(await lost.db.contacts.create({ firstname: "secret" }));
  const headers = { authorization: `Bearer ${dana.credentials?.accessToken}` };
  const answer = await fetch(`${server.url}/api/auth/devices/${lost.credentials?.deviceId}`, {
    method: "DELETE",
    headers,
  });
  expect(answer.ok, await answer.text()).toBe(true);
  const events: ClientEvent["event"][] = [];
  lost.onEvent(({ event }) => events.push(event));
  await lost.start();
  await until("everything is deleted", async () => events.includes("purged"));
  expect(await lost.db.leads.select()).toEqual([]);
  expect(await lost.status()).toMatchObject({
    pending: 0,
    rejected: 0,
    phase: "stopped",
    meta: { purged: "device_revoked" },
  });
  expect(lost.credentials).toBeUndefined();
  const rejected = await fetch(`${server.url}/api/admin/rejected`, { headers });
  expect(await rejected.text(), "the administrator has what was handed over").toContain("secret");

  // The person may come back, on what is a new device to the server.
  const signed = value(await lost.signIn({ email: "agent1@syncline.dev", password: PASSWORD }));
  expect(signed.deviceId).not.toBe((await dana.status()).meta?.deviceId);
  await synced(lost);
  expect((await lost.db.leads.select()).length).toBeGreaterThan(0);
  expect((await lost.status()).meta?.purged).toBeUndefined();
});

it("signing out deletes everything here, ends the sign-in on the server, and the next person may come", async () => {
  const agent = await device("agent1@syncline.dev");
  await synced(agent);
  const token = value(await agent.token());
  const headers = { authorization: `Bearer ${token}` };
  const status = async (): Promise<number> => (await fetch(`${server.url}/api/auth/validate`, { headers })).status;
  expect(await status()).toBe(200);
  const events: ClientEvent["event"][] = [];
  agent.onEvent(({ event }) => events.push(event));
  await agent.signOut();
  expect(await status(), "the token is good for nothing any more").toBe(401);
  expect(await agent.db.leads.select()).toEqual([]);
  expect([agent.credentials, events]).toEqual([undefined, expect.arrayContaining(["purged"])]);
  expect(await agent.token()).toMatchObject({ ok: false, error: { failure: "sign_in_needed" } });

  const milo = value(await agent.signIn({ email: "manager@syncline.dev", password: PASSWORD }));
  await synced(agent);
  expect((await agent.status()).meta?.userId).toBe(milo.userId);
  expect((await agent.db.leads.select()).length).toBeGreaterThan(0);
});
