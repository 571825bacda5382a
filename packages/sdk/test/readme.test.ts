/**
 * The code of the README: the files of `test/readme`, compiled by `tsc` with all others, and run against the real server; that
 * of React in `react/hooks.test.tsx`.
 */

import "fake-indexeddb/auto";
import { readdirSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { type CrmEntities, crm } from "../src/crm/index.ts";
import { Client } from "../src/index.ts";
import { PASSWORD, type Server, signedIn, startServer, until, value } from "./e2e/server.ts";
import { settle } from "./readme/conflicts.ts";
import { addContact } from "./readme/edit.ts";
import { openAnywhere } from "./readme/fallback.ts";
import { takeOldLeads } from "./readme/import.ts";
import { watchNavy } from "./readme/live.ts";
import { importRows } from "./readme/many.ts";
import { openClient } from "./readme/open.ts";
import { openRecord } from "./readme/presence.ts";
import { countBySource } from "./readme/rest.ts";
import { sealedStore } from "./readme/sealed.ts";
import { openTab } from "./readme/tabs.ts";
import { FakeChannel, FakeLocks } from "./tabs/browser.ts";

const EMAIL = "demo@syncline.dev";
let server: Server;

beforeAll(async () => {
  vi.stubGlobal("WebSocket", WebSocket);
  server = await startServer();
});
afterAll(() => server.stop());

it("opening, editing, watching, deciding", async () => {
  const client = await openClient(server.url);
  const shown = vi.fn();
  const stop = watchNavy(client, shown);
  const id = await addContact(client);
  expect(await client.untilSynced(15_000)).toBe(true);
  expect(shown.mock.lastCall).toEqual([["Grace Hopper (synced)"]]);
  expect((await client.db.contacts.get(id))?.fields.tags).toEqual(["navy", "vip"]);
  await settle(client);
  stop();
  const rows = [
    { name: "Ada", email: "ada@example.com" },
    { name: "Bob", email: "no address" },
  ];
  expect(await importRows(client, rows)).toMatchObject([{ row: rows[1], reason: expect.stringContaining("email") }]);
  await client.close();
});

it("several tabs, with presence and old data in any of them", async () => {
  vi.stubGlobal("BroadcastChannel", FakeChannel);
  vi.stubGlobal("navigator", { ...globalThis.navigator, locks: new FakeLocks(), storage: {} });
  const warn = vi.fn();
  const [first, second] = [await openTab(server.url, warn), await openTab(server.url, warn)];
  value(await second.signIn({ email: EMAIL, password: PASSWORD }));
  await until("it is in step", async () => ((await second.status()).meta?.lastSyncMs ?? 0) > 0);
  const id = await addContact(second);
  const milo = await signedIn(server, "manager@syncline.dev");
  await milo.start();
  await until("milo has it", async () => (await milo.db.contacts.get(id)) !== undefined);
  const [seen, others] = [vi.fn(), vi.fn()];
  const [mine, theirs] = [openRecord(second, id, seen), openRecord(milo, id, others)];
  await until("milo sees dana", async () => others.mock.lastCall?.[0].length === 1);
  theirs.edit(true);
  const warning = `${milo.credentials?.userId} is changing it`;
  await until("dana is warned", async () => seen.mock.lastCall?.[0][0] === warning);
  theirs.close();
  mine.close();
  expect(await takeOldLeads(second, [{ name: "Ada" }, { name: "" }])).toEqual([]);
  expect(await takeOldLeads(first, [{ name: "Ada" }, { name: "" }])).toEqual([]);
  expect((await countBySource(server.url, second)).size).toBeGreaterThan(0);
  expect(warn).not.toHaveBeenCalled();
  await Promise.all([milo.close(), first.close(), second.close()]);
});

it("a sealed store, and a client that gets through anywhere", async () => {
  const store = await sealedStore("crm sealed");
  const dead = { WebSocket: WebSocket as unknown as typeof globalThis.WebSocket };
  const client = await Client.open<CrmEntities>({
    server: server.url,
    ...crm,
    store,
    mode: "web_app",
    deviceName: "test",
    platform: dead,
  });
  value(await client.signIn({ email: EMAIL, password: PASSWORD }));
  await addContact(client);
  await client.close();
  const anywhere = await openAnywhere(server.url, vi.fn());
  value(await anywhere.signIn({ email: EMAIL, password: PASSWORD }));
  await anywhere.start();
  expect(await anywhere.untilSynced(15_000)).toBe(true);
  await anywhere.close();
});

it("the README shows exactly these files", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const files = readdirSync(new URL("readme/", import.meta.url));
  for (const file of files) {
    const code = readFileSync(new URL(`readme/${file}`, import.meta.url), "utf8");
    expect(readme, file).toContain(`\`\`\`${file.split(".")[1]}\n${code}\`\`\``);
  }
  expect([...readme.matchAll(/^```tsx?$/gm)]).toHaveLength(files.length);
});
