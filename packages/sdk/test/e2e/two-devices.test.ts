import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import type { CrmEntities } from "../../src/crm/index.ts";
import type { Client } from "../../src/index.ts";
import { type Server, signedIn, startServer, until, value } from "./server.ts";

const SYNC_MS = 15_000;
let server: Server;
const clients: Client<CrmEntities>[] = [];

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

async function device(email: string): Promise<Client<CrmEntities>> {
  const client = await signedIn(server, email);
  clients.push(client);
  return client;
}

async function syncing(email: string): Promise<Client<CrmEntities>> {
  const client = await device(email);
  await client.start();
  expect(await client.untilSynced(SYNC_MS)).toBe(true);
  return client;
}

it("[SES-4] a new replica gets everything it may see", async () => {
  const dana = await syncing("demo@syncline.dev");
  expect(await dana.db.leads.select()).toHaveLength(200);
});

it("[BAT-1] an edit reaches the other device live", async () => {
  const [dana, milo] = [await syncing("demo@syncline.dev"), await syncing("manager@syncline.dev")];
  const id = value(await dana.db.contacts.create({ firstname: "Ada", lastname: "Example" }));
  await until("the contact arrives", async () => (await milo.db.contacts.get(id)) !== undefined);
  value(await milo.db.contacts.update(id, { job_title: "CTO" }));
  await until("the edit arrives", async () => (await dana.db.contacts.get(id))?.fields.job_title === "CTO");
});
