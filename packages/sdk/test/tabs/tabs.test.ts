import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { loadDraft, saveDraft } from "../../src/client/drafts.ts";
import { importOnce, mutateAll } from "../../src/client/import.ts";
import { countMetrics } from "../../src/client/metrics.ts";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { EMPTY_DIGEST } from "../../src/digest.ts";
import type { Edit } from "../../src/replica/edit.ts";
import type { Viewed } from "../../src/replica/view.ts";
import { IndexedDbStore, indexedDb } from "../../src/storage/indexeddb.ts";
import { TabClient, type TabsOptions } from "../../src/tabs/tabs.ts";
import { Views } from "../../src/views/views.ts";
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
  const store = await IndexedDbStore.open({ name: "crm" });
  const identity = { workspaceId: "acme", userId: ID, deviceId: ID, clientId: ID };
  const numbers = { cursor: 0, nextClientSeq: 1, decidedUpto: 0, lastSyncMs: 0, leaseUntilMs: 0, repairs: 0 };
  const scopes = [["workspace", { seq: 0, digest: EMPTY_DIGEST }]] as const;
  await store.write({ meta: { ...identity, ...numbers }, scopes });
  await store.close();
});
afterEach(async () => {
  await Promise.all(tabs.splice(0).map((tab) => tab.close()));
  FakeChannel.open.clear();
  vi.restoreAllMocks();
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

/** Sees what tabs say to one another; a message for which `isLost` is true does not arrive. */
function overhear(isLost: (message: { kind: string }) => boolean): void {
  const { postMessage } = FakeChannel.prototype;
  vi.spyOn(FakeChannel.prototype, "postMessage").mockImplementation(function (this: FakeChannel, message) {
    if (!isLost(message as { kind: string })) {
      postMessage.call(this, message);
    }
  });
}

/** There is no network in these tests. */
class DeadSocket {
  addEventListener(): void {}
  close(): void {}
}

/** The channel on which a tab hears what is said to all. */
function channelOf(index: number): FakeChannel {
  const channel = [...FakeChannel.open].filter(({ name }) => name === "syncline crm")[index];
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
  const told = vi.spyOn(FakeChannel.prototype, "postMessage");
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

it("an edit reads nothing of what waits, however much that is", async () => {
  const [first, second] = [await tab(), await tab()];
  const ids: string[] = [];
  for (const firstname of ["a", "b", "c"]) {
    ids.push(value(await second.db.contacts.create({ firstname })));
  }
  const { prototype } = IndexedDbStore;
  const reads = (["outbox", "acknowledged", "rejected"] as const).map((name) => vi.spyOn(prototype, name));
  for (const tab of [first, second]) {
    value(await tab.db.contacts.create({ firstname: "d" }));
    value(await tab.db.contacts.update(ids[1] ?? "", { city: "Paris" }));
  }
  for (const read of reads) {
    expect(read, read.getMockName()).not.toHaveBeenCalled();
  }
  expect((await second.db.contacts.get(ids[1] ?? ""))?.fields.city).toBe("Paris");
});

it("a call that waits for a network is not taken for a frozen leader", async () => {
  let answer: () => void = () => undefined;
  const asked = vi.fn();
  const fetch = (): Promise<Response> => {
    asked();
    return new Promise((resolve) => {
      answer = () => resolve(new Response("{}", { status: 503 }));
    });
  };
  const platform = { WebSocket: DeadSocket as unknown as typeof WebSocket, fetch };
  const [first, second] = [await tab({ platform, answerMs: 20 }), await tab({ platform, answerMs: 20 })];
  const signed = second.signIn({ email: "a@b.example", password: "p" });
  await until("the server is asked", async () => asked.mock.calls.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect([first.isLeader, second.isLeader]).toEqual([true, false]);
  answer();
  expect(await signed).toMatchObject({ error: { failure: "unreachable" } });
  expect(asked).toHaveBeenCalledTimes(1);
});

it("rows go to the tab that shows them, and no more of them than it shows", async () => {
  const [first, second, third] = [await tab(), await tab(), await tab()];
  for (const firstname of ["a", "b", "c"]) {
    value(await first.db.contacts.create({ firstname }));
  }
  const live = second.db.contacts.live({ sort: "firstname", limit: 2 });
  const told = vi.spyOn(FakeChannel.prototype, "postMessage");
  live.subscribe(() => undefined);
  await until("it is loaded", async () => live.snapshot().rows.length === 2);
  expect(await third.db.contacts.select({ sort: "firstname", limit: 1 })).toHaveLength(1);
  const rows = told.mock.calls.flatMap(([message], index) => {
    const { kind, state, value: answer } = message as { kind: string; state?: { rows: object[] }; value?: object[] };
    const sent = kind === "state" ? state?.rows : kind === "answer" ? answer : undefined;
    return sent === undefined ? [] : [{ sent: sent.length, to: (told.mock.contexts[index] as FakeChannel).name }];
  });
  expect(rows.map(({ sent }) => sent)).toEqual([2, 1]);
  expect(new Set(rows.map(({ to }) => to)).size).toBe(2);
  expect(rows.map(({ to }) => to)).not.toContain("syncline crm");
});

it("the tab that leads filters where the records are, and any tab gets what it asks for", async () => {
  const [first, second] = [await tab(), await tab()];
  for (const firstname of ["Ada", "Bob", "Ava", "Al"]) {
    value(await first.db.contacts.create({ firstname }));
  }
  const answered = vi.spyOn(Views.prototype, "select");
  const query = {
    filter: ({ fields }: Viewed) => String(fields.firstname).startsWith("A"),
    sort: "firstname",
    limit: 2,
  };
  for (const [asked, sent] of [
    [first, 2],
    [second, 4],
  ] as const) {
    const names = (await asked.select("contacts", query)).map(({ fields }) => fields.firstname);
    expect(names).toEqual(["Ada", "Al"]);
    expect(await answered.mock.results.at(-1)?.value).toHaveLength(sent);
    const live = asked.live("contacts", query);
    live.subscribe(() => undefined);
    await until("it is loaded", async () => live.snapshot().rows.length === 2);
  }
});

it("drafts, imports and metrics work in every tab", async () => {
  const [first, second] = [await tab(), await tab()];
  const metrics = countMetrics(second);
  value(await saveDraft(second, "contacts 1", { firstname: "A" }));
  expect(value(await loadDraft(first, "contacts 1"))).toEqual({ firstname: "A" });
  const edits = Array.from({ length: 250 }, (_, index) => ({
    edit: "create" as const,
    entity: "contacts",
    id: second.mintId(),
    fields: index === 7 ? { email: "no address" } : { firstname: `${index}` },
  }));
  expect(value(await importOnce(second, "legacy", edits))).toMatchObject({ done: 250, refused: [{ edit: edits[7] }] });
  expect(value(await importOnce(first, "legacy", edits)).done).toBe(250);
  expect((await second.status()).pending).toBe(249);
  // One step took them all.
  await until("what the leader did is counted here", async () => (await metrics.read(0)).events.local_change === 1);
  metrics.stop();
});

it("any tab pauses syncing and begins again", async () => {
  const [first, second] = [await tab(), await tab()];
  await until("it tries to connect", async () => (await first.status()).phase !== "paused");
  await second.pause();
  expect((await first.status()).phase).toBe("paused");
  await second.start();
  expect((await first.status()).phase).not.toBe("paused");
});

it("a follower knows whether there is something to show", async () => {
  const [first, second] = [await tab(), await tab()];
  const events = vi.fn();
  second.onEvent(({ event }) => events(event));
  await until("the leader was heard", async () => second.isReady);
  expect([first.isReady, first.credentials, second.credentials]).toEqual([true, undefined, undefined]);
  expect(events).toHaveBeenCalledWith("leader_heard");
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
  let lost = 0;
  // The leader takes the edit, and its answer does not arrive.
  overhear(({ kind }) => kind === "answer" && ++lost === 1);
  const created = await second.db.contacts.create({ firstname: "Ada" });
  expect(lost).toBe(1);
  value(created);
  expect((await second.status()).pending).toBe(1);
  expect((await first.status()).pending).toBe(1);
});

it("many edits that were taken although their answer was lost are not taken again", async () => {
  const [first, second] = [await tab(), await tab()];
  let lost = 0;
  overhear(({ kind }) => kind === "answer" && ++lost === 1);
  const edits = ["Ada", "Bob", "Cy"].map((firstname): Edit[] => [
    { edit: "create", entity: "contacts", id: second.mintId(), fields: { firstname } },
  ]);
  const results = await mutateAll(second, edits);
  expect(lost).toBeGreaterThan(0);
  expect(results.map((result) => value(result).clientSeq)).toEqual([1, 2, 3]);
  expect((await second.status()).pending).toBe(3);
  expect(await first.db.contacts.select()).toHaveLength(3);
});

it("a tab that goes without a word leaves nothing behind in the leader", async () => {
  const [first, second] = [await tab(), await tab()];
  const live = second.db.contacts.live();
  live.subscribe(() => undefined);
  await until("it is loaded", async () => live.snapshot().state === "ready");
  const states = vi.fn();
  overhear(({ kind }) => states(kind));
  value(await first.db.contacts.create({ firstname: "a" }));
  expect(states).toHaveBeenCalledWith("splice");
  // What it has still to say is lost, as when a tab is killed.
  channelOf(1).postMessage = () => undefined;
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
