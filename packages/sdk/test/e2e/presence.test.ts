import "fake-indexeddb/auto";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import WebSocket from "ws";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import type { AnyClient, Client } from "../../src/index.ts";
import { type PresenceWatch, watchPresence } from "../../src/presence/index.ts";
import { indexedDb } from "../../src/storage/indexeddb.ts";
import { TabClient } from "../../src/tabs/tabs.ts";
import { FakeChannel, FakeLocks } from "../tabs/browser.ts";
import { PASSWORD, type Server, signedIn, startServer, until, value } from "./server.ts";

const SYNC_MS = 15_000;
let server: Server;
const closing: (() => Promise<void>)[] = [];

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
  vi.unstubAllGlobals();
});

async function syncing(email: string): Promise<Client<CrmEntities>> {
  const client = await signedIn(server, email);
  closing.push(() => client.close());
  await client.start();
  expect(await client.untilSynced(SYNC_MS)).toBe(true);
  return client;
}

function shown<Types>(client: AnyClient<Types>, entity: string, id: string): PresenceWatch & { stop: () => void } {
  const watch = watchPresence(client, entity, id);
  return { ...watch, stop: watch.subscribe(() => undefined) };
}

/** Who is seen, as `agent: editing`. */
function names(watch: PresenceWatch, ...clients: Client<CrmEntities>[]): string {
  const { state, viewers } = watch.snapshot();
  const people = viewers.map(({ userId, isEditing }) => {
    const index = clients.findIndex(({ credentials }) => credentials?.userId === userId);
    return `${index}${isEditing ? " edits" : ""}`;
  });
  return `${state}: ${people.join(", ")}`;
}

it("[PRE-1] [PRE-2] two who look at a record see each other, also that one is about to change it, until one goes", async () => {
  const [dana, milo] = [await syncing("demo@syncline.dev"), await syncing("manager@syncline.dev")];
  const [lead] = await milo.db.leads.select({ limit: 1 });
  const id = lead?.id ?? "";
  const mine = shown(dana, "leads", id);
  await until("nobody else is there", async () => names(mine, dana, milo) === "known: ");
  const theirs = shown(milo, "leads", id);
  await until("both see each other", async () => names(mine, dana, milo) === "known: 1");
  expect(names(theirs, dana, milo)).toBe("known: 0");
  theirs.edit(true);
  await until("the warning comes", async () => names(mine, dana, milo) === "known: 1 edits");
  theirs.edit(false);
  await until("and goes", async () => names(mine, dana, milo) === "known: 1");
  theirs.stop();
  await until("milo has closed it", async () => names(mine, dana, milo) === "known: ");
  const again = shown(milo, "leads", id);
  await until("it is open again", async () => names(mine, dana, milo) === "known: 1");
  await milo.pause();
  await until("his connection is gone", async () => names(mine, dana, milo) === "known: ");
  expect(names(again, dana, milo)).toBe("unknown: ");
  await milo.start();
  await until("back without being asked", async () => names(again, dana, milo) === "known: 0");
  await until("dana sees it", async () => names(mine, dana, milo) === "known: 1");
});

it("[PRE-1] a record that waits in the outbox is looked at when the server has it, and a refusal costs nothing else", async () => {
  const [dana, milo] = [await syncing("demo@syncline.dev"), await syncing("manager@syncline.dev")];
  await dana.pause();
  const id = value(await dana.db.contacts.create({ firstname: "Ada" }));
  const client = (await dana.status()).meta?.clientId;
  const mine = shown(dana, "contacts", id);
  await dana.start();
  await until("the contact arrives", async () => (await milo.db.contacts.get(id)) !== undefined);
  shown(milo, "contacts", id);
  await until("they see each other", async () => names(mine, dana, milo) === "known: 1");
  const nowhere = shown(dana, "contacts", "not an id");
  const secret = shown(dana, "contacts", dana.mintId());
  await until("the record is not there", async () => names(mine, dana, milo) === "unknown: ");
  secret.stop();
  nowhere.stop();
  await until("the first counts again", async () => names(mine, dana, milo) === "known: 1");
  expect((await dana.status()).meta?.clientId, "the refusal was taken for one of the client").toBe(client);
  expect(() => watchPresence(dana, "nothing", id)).toThrow("no entity");
});

it("[PRE-1] of several records on the screen the one that is edited counts, else the last", async () => {
  const [dana, milo] = [await syncing("demo@syncline.dev"), await syncing("manager@syncline.dev")];
  const [a, b] = (await milo.db.leads.select({ limit: 2 })).map(({ id }) => id);
  const [first, second] = [shown(milo, "leads", a ?? ""), shown(milo, "leads", b ?? "")];
  const mine = shown(dana, "leads", b ?? "");
  await until("the last one counts", async () => names(mine, dana, milo) === "known: 1");
  first.edit(true);
  await until("the edited one counts", async () => names(mine, dana, milo) === "known: ");
  expect(names(second, dana, milo)).toBe("unknown: ");
  first.stop();
  await until("the other one counts again", async () => names(mine, dana, milo) === "known: 1");
});

it("presence works in every tab of a device, and a tab that goes looks at nothing", async () => {
  vi.stubGlobal("BroadcastChannel", FakeChannel);
  vi.stubGlobal("WebSocket", WebSocket);
  const locks = new FakeLocks() as unknown as LockManager;
  const open = async (): Promise<TabClient<CrmEntities>> => {
    const tab = await TabClient.open<CrmEntities>({
      name: "presence",
      server: server.url,
      ...crm,
      store: indexedDb({ name: "presence" }),
      mode: "web_app",
      deviceName: "test",
      locks,
      isVisible: () => true,
    });
    closing.push(() => tab.close());
    return tab;
  };
  const [first, second] = [await open(), await open()];
  value(await second.signIn({ email: "demo@syncline.dev", password: PASSWORD }));
  await until("the leader is live", async () => (await second.status()).phase === "live");
  await until("the follower heard who it is", async () => second.credentials !== undefined);
  expect(second.credentials).toEqual(first.credentials);
  expect(second.credentials).not.toHaveProperty("refreshToken");
  const milo = await syncing("manager@syncline.dev");
  const [lead] = await milo.db.leads.select({ limit: 1 });
  const theirs = shown(milo, "leads", lead?.id ?? "");
  const mine = shown(second, "leads", lead?.id ?? "");
  await until("the follower sees milo", async () => mine.snapshot().viewers.length === 1);
  expect(mine.snapshot().viewers[0]?.userId).toBe(milo.credentials?.userId);
  await until("milo sees the device", async () => theirs.snapshot().viewers.length === 1);
  await first.close();
  await until("the next tab leads", async () => second.isLeader);
  await until("and sees milo", async () => mine.snapshot().viewers.length === 1);
  await until("milo sees it once", async () => theirs.snapshot().viewers.length === 1);
  const third = await open();
  const other = shown(third, "leads", lead?.id ?? "");
  await until("the third tab sees milo", async () => other.snapshot().viewers.length === 1);
  mine.stop();
  await third.close();
  await until("nobody looks any more", async () => theirs.snapshot().viewers.length === 0);
});
