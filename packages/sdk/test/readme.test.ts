/** The code of the README, compiled by `tsc` as part of this file and run against the real server. */

import "fake-indexeddb/auto";
import { readFileSync } from "node:fs";
// README: open
import { Client } from "@syncline/sdk";
import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { indexedDb } from "@syncline/sdk/indexeddb";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { type Server, startServer } from "./e2e/server.ts";

async function openClient(server: string): Promise<Client<CrmEntities>> {
  const client = await Client.open<CrmEntities>({
    server,
    ...crm,
    store: indexedDb({ name: "crm" }),
    mode: "web_app",
    deviceName: "Dana's browser",
  });
  if (client.credentials === undefined) {
    const signed = await client.signIn({ email: "demo@syncline.dev", password: "syncline-demo" });
    if (!signed.ok) {
      throw new Error(signed.error.failure === "refused" ? signed.error.problem.message : signed.error.message);
    }
  }
  await client.start();
  return client;
}
// README: end

// README: edit
async function addContact({ db }: Client<CrmEntities>): Promise<string> {
  // Durable in the outbox and on the screen when this resolves, with or without a network.
  const contact = await db.contacts.create({ firstname: "Grace", lastname: "Hopper", tags: ["navy"] });
  if (!contact.ok) {
    // Nothing was stored; the message says what to do.
    throw new Error(contact.error.message);
  }
  await db.contacts.update(contact.value, { job_title: "Admiral", tags: { add: ["vip"] } });
  return contact.value;
}
// README: end

// README: live
function watchNavy({ db }: Client<CrmEntities>, render: (names: string[]) => void): () => void {
  const query = db.contacts.live({ where: { tags: "navy" }, sort: "lastname", limit: 50 });
  return query.subscribe(() => {
    const { rows } = query.snapshot();
    render(rows.map(({ fields, state }) => `${fields.firstname} ${fields.lastname} (${state})`));
  });
}
// README: end

// README: conflicts
async function settle(client: Client<CrmEntities>): Promise<void> {
  for (const conflict of await client.select("conflicts", { where: { state: "open" } })) {
    await client.resolve(conflict.id, "use_theirs");
  }
  for (const { mutation, outcome } of await client.rejected()) {
    console.warn(outcome.code, outcome.detail);
    await client.discardRejected(mutation.client_seq);
  }
}
// README: end

let server: Server;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());

it("the code of the README does what it says", async () => {
  vi.stubGlobal("WebSocket", WebSocket);
  const client = await openClient(server.url);
  const shown = vi.fn();
  const stop = watchNavy(client, shown);
  const id = await addContact(client);
  expect(await client.untilSynced(15_000)).toBe(true);
  expect(shown.mock.lastCall).toEqual([["Grace Hopper (synced)"]]);
  expect((await client.db.contacts.get(id))?.fields.tags).toEqual(["navy", "vip"]);
  await settle(client);
  stop();
  await client.close();
  vi.unstubAllGlobals();
});

it("the README shows the code of this file", () => {
  const here = readFileSync(new URL(import.meta.url), "utf8");
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const blocks = [...here.matchAll(/^\/\/ README: (?!end)(\w+)\n([\s\S]*?)^\/\/ README: end$/gm)];
  expect(blocks.map(([, name]) => name)).toEqual(["open", "edit", "live", "conflicts"]);
  for (const [, name, code] of blocks) {
    expect(readme, name).toContain(`\`\`\`ts\n${code}\`\`\``);
  }
  const typescript = [...readme.matchAll(/^```tsx?$/gm)];
  expect(typescript, "every block of TypeScript is one of them").toHaveLength(blocks.length);
});
