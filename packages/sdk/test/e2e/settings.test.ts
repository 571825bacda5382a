import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { countMetrics } from "../../src/client/metrics.ts";
import { loadSetting, saveSetting } from "../../src/client/settings.ts";
import type { CrmEntities } from "../../src/crm/index.ts";
import type { Client } from "../../src/index.ts";
import { type Server, signedIn, startServer, until, value } from "./server.ts";

let server: Server;
const clients: Client<CrmEntities>[] = [];

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

async function syncing(email: string): Promise<Client<CrmEntities>> {
  const client = await signedIn(server, email);
  clients.push(client);
  await client.start();
  expect(await client.untilSynced(15_000)).toBe(true);
  return client;
}

it("[ID-3] a setting made on two devices at once is one record, and follows the person", async () => {
  const [desk, phone] = [await syncing("manager@syncline.dev"), await syncing("manager@syncline.dev")];
  await Promise.all([desk.pause(), phone.pause()]);
  value(await saveSetting(desk, "user", "theme", { dark: true }));
  value(await saveSetting(phone, "user", "theme", { dark: false }));
  expect(await loadSetting(phone, "user", "theme")).toEqual({ dark: false });
  for (const client of [desk, phone]) {
    await client.start();
    expect(await client.untilSynced(15_000)).toBe(true);
    expect(await client.rejected()).toEqual([]);
  }
  await until("both see the later one", async () => {
    const values = await Promise.all([desk, phone].map((client) => loadSetting(client, "user", "theme")));
    return values.every((held) => JSON.stringify(held) === '{"dark":false}');
  });
  expect(await desk.db.settings.select({ where: { key: "theme" } })).toHaveLength(1);
  value(await saveSetting(desk, "user", "theme", { dark: true }));
  await until(
    "a change arrives",
    async () => JSON.stringify(await loadSetting(phone, "user", "theme")) === '{"dark":true}',
  );
  expect(await loadSetting(desk, "workspace", "theme")).toBeUndefined();
});

it("what happened is counted, and where the device stands is told", async () => {
  const agent = await signedIn(server, "agent1@syncline.dev");
  clients.push(agent);
  const metrics = countMetrics(agent);
  // Not for an agent to set.
  value(await saveSetting(agent, "workspace", "banner", "x"));
  expect(await metrics.read(Date.now())).toMatchObject({ pending: 1, repairs: 0, rejectedTotal: 0 });
  await agent.start();
  expect(await agent.untilSynced(15_000)).toBe(true);
  const read = await metrics.read(Date.now());
  expect(read).toMatchObject({ phase: "live", pending: 0, rejectedTotal: 1 });
  expect(read.events).toMatchObject({ local_change: 1, rejected: 1 });
  expect(read.events.connected).toBeGreaterThan(0);
  expect(read.sinceSyncMs).toBeLessThan(60_000);
  metrics.stop();
  await agent.pause();
  value(await saveSetting(agent, "user", "theme", 1));
  expect((await metrics.read(Date.now())).events.local_change).toBe(1);
});
