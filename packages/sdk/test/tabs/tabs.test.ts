import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { EMPTY_DIGEST } from "../../src/digest.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { IndexedDbStore, indexedDb } from "../../src/storage/indexeddb.ts";
import { TabClient, type TabsOptions } from "../../src/tabs/tabs.ts";
import { until, value } from "../e2e/server.ts";
import { FakeChannel, FakeLocks } from "./browser.ts";

const ID = "00000000-0000-7000-8000-000000000001";
let locks: FakeLocks;
const tabs: TabClient<CrmEntities>[] = [];

beforeEach(async () => {
  globalThis.indexedDB = new IDBFactory();
  vi.stubGlobal("BroadcastChannel", FakeChannel);
  locks = new FakeLocks();
  // A device on which somebody signed in in an earlier run, without a network.
  const store = await IndexedDbStore.open({ name: "crm" }, readSchema(crm.schema, crm.formats));
  const identity = { workspaceId: "acme", userId: ID, deviceId: ID, clientId: ID };
  const numbers = { cursor: 0, nextClientSeq: 1, decidedUpto: 0, lastSyncMs: 0, leaseUntilMs: 0, repairs: 0 };
  const scopes = [["workspace", { seq: 0, digest: EMPTY_DIGEST }]] as const;
  await store.write({ meta: { ...identity, ...numbers }, scopes });
  await store.close();
});
afterEach(async () => {
  await Promise.all(tabs.splice(0).map((tab) => tab.close()));
  FakeChannel.open.clear();
  vi.unstubAllGlobals();
});

async function tab(options: Partial<TabsOptions> = {}): Promise<TabClient<CrmEntities>> {
  const opened = await TabClient.open<CrmEntities>({
    name: "crm",
    server: "http://127.0.0.1:9",
    ...crm,
    store: indexedDb({ name: "crm" }),
    mode: "web_app",
    deviceName: "test",
    platform: { WebSocket: DeadSocket as unknown as typeof WebSocket },
    locks: locks as unknown as LockManager,
    isVisible: () => true,
    answerMs: 200,
    ...options,
  });
  tabs.push(opened);
  return opened;
}

/** There is no network in these tests. */
class DeadSocket {
  addEventListener(): void {}
  close(): void {}
}

function channelOf(index: number): FakeChannel {
  const channel = [...FakeChannel.open][index];
  if (channel === undefined) {
    throw new Error(`there is no tab ${index}`);
  }
  return channel;
}

it("the first tab leads, the others edit and read through it", async () => {
  const [first, second] = [await tab(), await tab()];
  expect([first.isLeader, second.isLeader]).toEqual([true, false]);
  const id = value(await second.db.contacts.create({ firstname: "Ada", tags: ["x"] }));
  expect((await first.db.contacts.get(id))?.fields.firstname).toBe("Ada");
  value(await first.db.contacts.update(id, { job_title: "CTO" }));
  expect((await second.db.contacts.get(id))?.fields.job_title).toBe("CTO");
  const rows = await second.db.contacts.select({
    where: { tags: "x" },
    filter: ({ fields }) => fields.firstname === "Ada",
  });
  expect(rows).toHaveLength(1);
  expect((await second.status()).pending).toBe(2);
  expect(await second.db.contacts.update(id, { country: "x".repeat(99) })).toMatchObject({
    error: { code: "validation" },
  });
});

it("live queries of a follower follow edits of every tab, and events reach all", async () => {
  const [first, second, third] = [await tab(), await tab(), await tab()];
  const events = vi.fn();
  third.onEvent(({ event }) => events(event));
  const live = second.db.contacts.live({ sort: "firstname", limit: 2 });
  const stop = live.subscribe(() => undefined);
  await until("it is loaded", async () => live.snapshot().state === "ready");
  const names = () => live.snapshot().rows.map(({ fields }) => fields.firstname);
  value(await first.db.contacts.create({ firstname: "b" }));
  await until("an edit of the leader", async () => names().join() === "b");
  value(await third.db.contacts.create({ firstname: "a" }));
  value(await second.db.contacts.create({ firstname: "c" }));
  await until("edits of followers", async () => names().join() === "a,b");
  expect(events).toHaveBeenCalledWith("local_change");
  stop();
  expect(live.snapshot().state).toBe("loading");
});

it("a tab is told what changed and not everything, and rows of the leader's own queries stay in it", async () => {
  const [first, second] = [await tab(), await tab()];
  const told = vi.spyOn(channelOf(0), "postMessage");
  const own = first.db.contacts.live({ sort: "firstname" });
  own.subscribe(() => undefined);
  const live = second.db.contacts.live({ sort: "firstname" });
  live.subscribe(() => undefined);
  await until("it is loaded", async () => live.snapshot().state === "ready");
  const names = (of: typeof live) =>
    of
      .snapshot()
      .rows.map(({ fields }) => fields.firstname)
      .join("");
  const ids: string[] = [];
  for (const firstname of ["b", "d", "f", "h"]) {
    ids.push(value(await first.db.contacts.create({ firstname })));
  }
  value(await second.db.contacts.update(ids[1] ?? "", { firstname: "g" }));
  value(await first.db.contacts.delete(ids[0] ?? ""));
  await until("both show the same", async () => names(live) === "fgh" && names(own) === "fgh");
  const rows = told.mock.calls.flatMap(([message]) => {
    const { kind, rows: sent = [], state } = message as { kind: string; rows?: object[]; state?: { rows: object[] } };
    return kind === "splice" ? [sent.length] : kind === "state" ? [state?.rows.length ?? 0] : [];
  });
  // The empty list, four new ones, one that moved past its neighbour, one that went.
  expect(rows).toEqual([0, 1, 1, 1, 1, 2, 0]);
});

it("when the leader goes the next tab leads, with everything that was taken", async () => {
  const [first, second, third] = [await tab(), await tab(), await tab()];
  const live = third.db.contacts.live({ sort: "firstname" });
  live.subscribe(() => undefined);
  const id = value(await third.db.contacts.create({ firstname: "Ada" }));
  await first.close();
  await until("the second leads", async () => second.isLeader);
  expect(third.isLeader).toBe(false);
  value(await third.db.contacts.update(id, { firstname: "Bea" }));
  expect((await second.db.contacts.get(id))?.fields.firstname).toBe("Bea");
  await until("live queries moved over", async () => live.snapshot().rows[0]?.fields.firstname === "Bea");
  expect((await second.status()).pending).toBe(2);
});

it("a visible tab takes over from a frozen leader, whose edits are taken once and who cannot write when it wakes", async () => {
  const [first, second] = [await tab(), await tab()];
  const channel = channelOf(0);
  channel.isFrozen = true;
  const id = value(await second.db.contacts.create({ firstname: "Ada" }));
  expect([first.isLeader, second.isLeader]).toEqual([false, true]);
  channel.wake();
  value(await first.db.contacts.update(id, { firstname: "Bea" }));
  await until("the old leader follows", async () => (await second.db.contacts.get(id))?.fields.firstname === "Bea");
  expect(await second.db.contacts.select()).toHaveLength(1);
  expect((await second.status()).pending).toBe(2);
});

it("an edit that was taken although its answer was lost is not taken again", async () => {
  const [first, second] = [await tab(), await tab()];
  const channel = channelOf(1);
  const { postMessage } = channelOf(0);
  let lost = 0;
  // The leader takes the edit, and its answer does not arrive.
  vi.spyOn(channelOf(0), "postMessage").mockImplementation(function (this: FakeChannel, message: unknown) {
    if ((message as { kind: string }).kind === "answer" && lost === 0) {
      lost += 1;
      return;
    }
    postMessage.call(channelOf(0), message);
  });
  expect(channel.isFrozen).toBe(false);
  const created = await second.db.contacts.create({ firstname: "Ada" });
  expect(lost).toBe(1);
  value(created);
  expect((await second.status()).pending).toBe(1);
  expect((await first.status()).pending).toBe(1);
});

it("a tab that goes without a word leaves nothing behind in the leader", async () => {
  const [first, second] = [await tab(), await tab()];
  const live = second.db.contacts.live();
  live.subscribe(() => undefined);
  await until("it is loaded", async () => live.snapshot().state === "ready");
  const states = vi.fn();
  const { postMessage } = channelOf(0);
  vi.spyOn(channelOf(0), "postMessage").mockImplementation(function (this: FakeChannel, message: unknown) {
    states((message as { kind: string }).kind);
    postMessage.call(channelOf(0), message);
  });
  value(await first.db.contacts.create({ firstname: "a" }));
  expect(states).toHaveBeenCalledWith("splice");
  // What it has still to say is lost, as when a tab is killed.
  vi.spyOn(channelOf(1), "postMessage").mockImplementation(() => undefined);
  await second.close();
  await until("its lock is free", async () => {
    states.mockClear();
    value(await first.db.contacts.create({ firstname: "b" }));
    return !states.mock.calls.flat().includes("splice");
  });
});

it("without a visible tab nobody takes over, and the call says what to do", async () => {
  await tab({ isVisible: () => false });
  const hidden = await tab({ isVisible: () => false });
  channelOf(0).isFrozen = true;
  const call = hidden.db.contacts.select();
  await expect(call).rejects.toThrow("no tab of this device answers");
  expect(hidden.isLeader).toBe(false);
});
