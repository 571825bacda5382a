import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { type CrmEntities, crmSchema } from "../../src/crm/index.ts";
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

async function syncing(email: string): Promise<Client<CrmEntities>> {
  const client = await signedIn(server, email);
  clients.push(client);
  await client.start();
  expect(await client.untilSynced(SYNC_MS)).toBe(true);
  return client;
}

/** Both devices online again, and at rest. */
async function meet(...devices: Client<CrmEntities>[]): Promise<void> {
  for (const client of devices) {
    await client.start();
    expect(await client.untilSynced(SYNC_MS)).toBe(true);
  }
  // What the later ones pushed reaches the earlier ones live.
  await until("all stand at the same seq", async () => {
    const cursors = await Promise.all(devices.map(async (client) => (await client.status()).meta?.cursor));
    return new Set(cursors).size === 1;
  });
}

it("[SES-4] a new replica gets everything it may see", async () => {
  const dana = await syncing("demo@syncline.dev");
  expect(await dana.db.leads.select()).toHaveLength(200);
});

it("the declaration in the package is that of the server", async () => {
  const hashes: unknown[] = [];
  class SeenSocket extends WebSocket {
    constructor(address: string) {
      super(address);
      this.on("message", (data) => {
        const frame = JSON.parse(String(data)) as { type: string; schema?: { hash: string } };
        hashes.push(...(frame.type === "welcome" ? [frame.schema?.hash] : []));
      });
    }
  }
  const platform = { WebSocket: SeenSocket as unknown as typeof globalThis.WebSocket };
  const client = await signedIn(server, "demo@syncline.dev", { platform });
  clients.push(client);
  await client.start();
  await client.untilSynced(SYNC_MS);
  expect(hashes[0], "run `npm run generate`, or build the server").toBe(crmSchema.hash);
});

it("[BAT-1] an edit reaches the other device live", async () => {
  const [dana, milo] = [await syncing("demo@syncline.dev"), await syncing("manager@syncline.dev")];
  const id = value(await dana.db.contacts.create({ firstname: "Ada", lastname: "Example" }));
  await until("the contact arrives", async () => (await milo.db.contacts.get(id)) !== undefined);
  value(await milo.db.contacts.update(id, { job_title: "CTO" }));
  await until("the edit arrives", async () => (await dana.db.contacts.get(id))?.fields.job_title === "CTO");
});

it("[VEW-1] [MRG-2] offline edits show at once, merge, and a person decides about money", async () => {
  const [dana, milo] = [await syncing("demo@syncline.dev"), await syncing("manager@syncline.dev")];
  const id = value(await dana.db.contacts.create({ firstname: "Grace", lastname: "Hopper", estimated_value: "100" }));
  await meet(dana, milo);

  await Promise.all([dana.pause(), milo.pause()]);
  value(await dana.db.contacts.update(id, { city: "Arlington", estimated_value: "120" }));
  value(await milo.db.contacts.update(id, { job_title: "Admiral", estimated_value: "150" }));
  expect((await milo.db.contacts.get(id))?.fields).toMatchObject({ job_title: "Admiral", estimated_value: "150.00" });
  expect((await milo.db.contacts.get(id))?.state).toBe("pending");
  expect((await milo.status()).pending).toBe(1);

  await meet(dana, milo);
  for (const client of [dana, milo]) {
    const { fields, state } = (await client.db.contacts.get(id)) ?? {};
    expect(fields).toMatchObject({ city: "Arlington", job_title: "Admiral", estimated_value: "120.00" });
    expect(state).toBe("synced");
  }

  const [conflict] = await dana.select("conflicts", { where: { record_id: id, state: "open" } });
  expect(conflict?.fields).toMatchObject({ mine: { estimated_value: "150.00" }, strategy: "manual-review" });
  value(await dana.resolve(conflict?.id ?? "", "use_mine"));
  expect((await dana.get("conflicts", conflict?.id ?? ""))?.fields.state).toBe("resolved");
  await meet(dana, milo);
  expect((await milo.db.contacts.get(id))?.fields.estimated_value).toBe("150.00");

  expect(value(await milo.undo(conflict?.id ?? ""))).toBe("use_theirs");
  await meet(milo, dana);
  expect((await dana.db.contacts.get(id))?.fields.estimated_value).toBe("120.00");
});

it("[PSH-6] [MUT-4] what is rejected goes to the rejected list with what builds on it, and can be sent again", async () => {
  const dana = await syncing("demo@syncline.dev");
  await dana.pause();
  const contact = value(await dana.db.contacts.create({ firstname: "Eve" }));
  const lead = value(await dana.db.leads.create({ contact_id: contact, estimated_value: "-5" }));
  const activity = value(await dana.db.lead_activities.create({ lead_id: lead, activity_type: "note" }));
  expect((await dana.db.lead_activities.get(activity))?.state).toBe("pending");
  await meet(dana);

  expect((await dana.db.contacts.get(contact))?.state, "it blocks nothing but its dependants").toBe("synced");
  expect(await dana.db.leads.get(lead)).toBeUndefined();
  const rejected = await dana.rejected();
  expect(rejected.map(({ outcome }) => outcome.code)).toEqual(["rule", "dependency_failed"]);

  const [first, second] = rejected.map(({ mutation }) => mutation.client_seq);
  value(await dana.resendRejected(first ?? 0, { estimated_value: "5" }));
  value(await dana.resendRejected(second ?? 0, {}));
  await meet(dana);
  expect((await dana.db.leads.get(lead))?.fields.estimated_value).toBe("5.00");
  expect((await dana.db.lead_activities.get(activity))?.state).toBe("synced");
  expect(await dana.rejected()).toEqual([]);
});

it("[INV-7] a member with few grants gets few records", async () => {
  const [owner, agent] = [await syncing("demo@syncline.dev"), await syncing("agent2@syncline.dev")];
  expect((await agent.db.leads.select()).length).toBeLessThan((await owner.db.leads.select()).length);
});

it("[AUT-1] a wrong password is refused, and nothing is kept", async () => {
  const client = await signedIn(server, "demo@syncline.dev");
  clients.push(client);
  const signed = await client.signIn({ email: "demo@syncline.dev", password: "wrong" });
  expect(signed).toMatchObject({ ok: false, error: { failure: "refused", problem: { class: "session" } } });
  expect(client.credentials?.email).toBe("demo@syncline.dev");
});

it("[ID-2] a store that belongs to somebody else is not given to another person", async () => {
  const dana = await syncing("demo@syncline.dev");
  const signed = await dana.signIn({ email: "manager@syncline.dev", password: "syncline-demo" });
  expect(signed).toMatchObject({ ok: false, error: { problem: { code: "forbidden" } } });
});
