/** Signing in, out and in again on one device, against a server that knows one person. */

import { expect, it } from "vitest";
import { importOnce } from "../../src/client/import.ts";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { until, value } from "../e2e/server.ts";

const PERSON = { email: "dana@acme.example", password: "secret" };

/** A new device whose sign-ins take as long as `delayMs` says. */
async function device(delayMs = 0): Promise<{ client: Client<CrmEntities>; store: MemoryStore }> {
  const store = new MemoryStore();
  let logins = 0;
  const fetch = async (_: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const { device } = JSON.parse(String(init?.body)) as { device?: { device_id: string } };
    logins += 1;
    await new Promise((resolve) => setTimeout(resolve, logins === 1 ? delayMs : 0));
    const tokens = { access_token: `a${logins}`, refresh_token: `r${logins}`, expires_in_s: 900 };
    return Response.json({
      ...tokens,
      workspace_id: "acme",
      user_id: "u",
      device_id: device?.device_id,
      role: "agent",
    });
  };
  const client = await Client.open<CrmEntities>({
    server: "http://127.0.0.1:9",
    ...crm,
    store: async () => store,
    mode: "web_app",
    deviceName: "test",
    platform: { WebSocket: class {} as unknown as typeof WebSocket, fetch },
  });
  return { client, store };
}

it("two sign-ins at once make one device, and nothing that was written in between is lost", async () => {
  const { client } = await device(30);
  const [first, second] = [client.signIn(PERSON), client.signIn(PERSON)];
  value(await first);
  value(await client.db.contacts.create({ firstname: "Ada" }));
  value(await second);
  expect((await client.status()).pending).toBe(1);
  expect(client.credentials?.accessToken).toBe("a2");
});

it("a live query shows what comes after signing out and in again", async () => {
  const { client } = await device();
  value(await client.signIn(PERSON));
  const live = client.db.contacts.live({ sort: "firstname" });
  live.subscribe(() => undefined);
  const names = () => live.snapshot().rows.map(({ fields }) => fields.firstname);
  value(await client.db.contacts.create({ firstname: "Ada" }));
  await until("it is shown", async () => names().join() === "Ada");
  await client.signOut();
  await until("nothing is left", async () => names().length === 0);
  value(await client.signIn(PERSON));
  value(await client.db.contacts.create({ firstname: "Bea" }));
  await until("the new one is shown", async () => names().join() === "Bea");
});

it("[SDK-5] what was imported is not imported again after signing out and in", async () => {
  const { client, store } = await device();
  value(await client.signIn(PERSON));
  const fields = { firstname: "Ada", email: "ada@acme.example" };
  const edits = [{ edit: "create" as const, entity: "contacts", id: client.mintId(), fields }];
  expect(value(await importOnce(client, "old", edits)).done).toBe(1);
  await client.signOut();
  expect(JSON.stringify(await store.meta()), "nothing of the data outlasts it").not.toContain("Ada");
  value(await client.signIn(PERSON));
  expect(value(await importOnce(client, "old", edits)).done).toBe(1);
  expect((await client.status()).pending).toBe(0);
});
