/**
 * Random histories of three devices against the real server: edits with and without a network, cuts, restarts of devices
 * and kills of the server. Whatever happened, when everything has come to rest every replica is the server's view of its
 * scopes, and the digests agree (invariant 6); every mutation has ended (invariant 4).
 */

import "fake-indexeddb/auto";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";
import { type CrmEntities, crm, crmSchema } from "../../src/crm/index.ts";
import { DigestSum } from "../../src/digest.ts";
import { Client, type ReplicaStore, type Result, type Viewed } from "../../src/index.ts";
import type { Schema } from "../../src/schema/schema.ts";
import { asyncStorage } from "../../src/storage/asyncstorage.ts";
import { indexedDb } from "../../src/storage/indexeddb.ts";
import { memory } from "../../src/storage/memory.ts";
import { sealed } from "../../src/storage/sealed.ts";
import { Random } from "../random.ts";
import { FakeAsyncStorage } from "../storage/platforms.ts";
import { PASSWORD, type Server, startServer, until } from "./server.ts";

/** More of them: `SDK_FUZZ_SEEDS=50 npx vitest run test/e2e/fuzz.test.ts`. */
const SEEDS = Number(process.env.SDK_FUZZ_SEEDS ?? 4);
const FIRST_SEED = Number(process.env.SDK_FUZZ_FIRST_SEED ?? 1);
const STEPS = 60;
const SYNC_MS = 40_000;
const PEOPLE = ["demo@syncline.dev", "manager@syncline.dev", "agent1@syncline.dev"];

const KEY = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
let server: Server;
let data: string;
/** What happened over all seeds: a run in which nothing could go wrong proves nothing. */
const counts: Record<string, number> = {};

beforeAll(async () => {
  data = mkdtempSync(join(tmpdir(), "syncline-fuzz-"));
  server = await startServer(data);
});
afterAll(async () => {
  await server.stop();
});

/** Sockets that a test can cut. */
class CutSocket extends WebSocket {
  static readonly open = new Set<CutSocket>();

  constructor(address: string) {
    super(address);
    CutSocket.open.add(this);
    this.on("close", () => CutSocket.open.delete(this));
  }
}

/** A store that outlives its device's restarts, another one for each device. */
function storeOf(seed: number, index: number): (schema: Schema) => Promise<ReplicaStore> {
  const disk = new Map<string, string>();
  const stores: ((schema: Schema) => Promise<ReplicaStore>)[] = [
    sealed(indexedDb({ name: `fuzz ${seed}` }), KEY),
    (schema) => asyncStorage(new FakeAsyncStorage(disk), { name: "fuzz" })(schema),
    indexedDb({ name: `plain ${seed}` }),
  ];
  return stores[index] ?? memory();
}

class Device {
  client!: Client<CrmEntities>;
  store!: ReplicaStore;
  readonly #email: string;
  readonly #open: (schema: Schema) => Promise<ReplicaStore>;

  constructor(email: string, seed: number, index: number) {
    this.#email = email;
    this.#open = storeOf(seed, index);
  }

  async start(): Promise<void> {
    this.client = await Client.open<CrmEntities>({
      server: server.url,
      ...crm,
      store: async (schema) => {
        this.store = await this.#open(schema);
        return this.store;
      },
      mode: "web_app",
      deviceName: this.#email,
      platform: { WebSocket: CutSocket as unknown as typeof globalThis.WebSocket },
    });
    if (this.client.credentials === undefined) {
      const signed = await this.client.signIn({ email: this.#email, password: PASSWORD });
      expect(signed.ok, JSON.stringify(signed)).toBe(true);
    }
    await this.client.start();
  }

  async restart(): Promise<void> {
    await this.client.close();
    await this.start();
  }
}

function count(what: string): void {
  counts[what] = (counts[what] ?? 0) + 1;
}

/** One edit by a person who knows what is on their screen. */
async function edit(device: Device, random: Random, seed: number, people: readonly string[]): Promise<void> {
  const { db } = device.client;
  const mine = { where: { lead_source: `fuzz ${seed}` } } as const;
  const contacts = await db.contacts.select(mine);
  const kind =
    contacts.length === 0
      ? "create"
      : random.pick(["create", "update", "update", "update", "task", "delete", "resolve"]);
  let done: Result<unknown, { code: string }>;
  switch (kind) {
    case "create":
      done = await db.contacts.create({ firstname: `F${random.below(9)}`, lead_source: `fuzz ${seed}`, tags: ["new"] });
      break;
    case "update":
      done = await db.contacts.update(random.pick(contacts).id, fieldsOf(random, people));
      break;
    case "task":
      done = await db.tasks.create({
        title: `T${random.below(9)}`,
        subject_type: "contact",
        subject_id: random.pick(contacts).id,
      });
      break;
    case "delete":
      done = await db.contacts.delete(random.pick(contacts).id);
      break;
    default: {
      const open = await device.client.select("conflicts", { where: { state: "open" }, limit: 5 });
      if (open.length === 0) {
        return;
      }
      done = await device.client.resolve(random.pick(open).id, random.pick(["use_mine", "use_theirs"]));
    }
  }
  count(done.ok ? kind : `refused ${done.error.code}`);
}

function fieldsOf(random: Random, people: readonly string[]) {
  return random.pick([
    // Moves the record to another scope: the agent may not see it any more, or see it again.
    { assigned_to: random.pick([...people, null]) },
    { job_title: `J${random.below(5)}` },
    { city: `C${random.below(5)}`, zip: String(random.below(9)) },
    { estimated_value: `${random.below(50)}.00` },
    { tags: { add: [`t${random.below(4)}`], remove: [`t${random.below(4) + 4}`] } },
    { tags: [`t${random.below(8)}`] },
    { metadata: { [`k${random.below(3)}`]: random.below(5) } },
    { dnd: { call: random.chance(0.5) } },
    { priority: random.pick(["low", "high", null] as const) },
    { last_contacted_at: `2026-11-${10 + random.below(19)}T00:00:00Z` },
    { notes: `N${random.below(5)}` },
  ]);
}

async function step(devices: readonly Device[], random: Random, seed: number): Promise<void> {
  const device = random.pick(devices);
  const dice = random.below(100);
  if (dice < 66) {
    const people = devices.flatMap(({ client }) => client.credentials?.userId ?? []);
    await edit(device, random, seed, people);
  } else if (dice < 76) {
    count("pause");
    await device.client.pause();
  } else if (dice < 88) {
    await device.client.start();
  } else if (dice < 94) {
    count("cut");
    for (const socket of CutSocket.open) {
      socket.terminate();
    }
  } else if (dice < 97) {
    count("restart");
    await device.restart();
  } else if (dice < 98) {
    count("kill");
    const { port, host } = new URL(server.url);
    expect(host).toContain(port);
    await server.stop("SIGKILL");
    server = await startServer(data, host);
  } else {
    await new Promise((resolve) => setTimeout(resolve, random.below(60)));
  }
}

/** Every scope's digest as it is stored, checked against the rows that are really there. */
async function digestsOf(store: ReplicaStore): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (const [scope, state] of await store.scopes()) {
    const sum = new DigestSum();
    for (const [id, entity, rv] of await store.baseRows(scope)) {
      sum.add(entity, id, rv);
    }
    expect(sum.value(), `the digest of ${scope} is that of its rows`).toEqual(state.digest);
    digests.set(scope, `${state.digest.count} ${state.digest.sum} at ${state.seq}`);
  }
  return digests;
}

/** Records with their members in one order; a `null` where there should be nothing is seen. */
function sorted(records: readonly Viewed[]): unknown {
  return records.map(({ fields, ...record }) => [record, Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

async function rest(devices: readonly Device[]): Promise<void> {
  for (const { client } of devices) {
    await client.start();
  }
  await until(
    "all devices are synced and stand at the same seq",
    async () => {
      const cursors = new Set<number | undefined>();
      for (const { client } of devices) {
        if (!(await client.untilSynced(SYNC_MS))) {
          return false;
        }
        cursors.add((await client.status()).meta?.cursor);
      }
      return cursors.size === 1;
    },
    SYNC_MS,
  );
}

it.each(Array.from({ length: SEEDS }, (_, index) => FIRST_SEED + index))(
  "[INV-6] seed %i: every replica equals the others' and its own digests",
  async (seed) => {
    const random = new Random(seed);
    const devices = PEOPLE.map((email, index) => new Device(email, seed, index));
    await Promise.all(devices.map((device) => device.start()));
    const [first] = devices;
    await first?.client.untilSynced(SYNC_MS);
    let shown: readonly unknown[] = [];
    const live = first?.client.db.contacts.live({ where: { lead_source: `fuzz ${seed}` }, sort: "firstname" });
    const stop = live?.subscribe(() => {
      shown = live.snapshot().rows;
    });
    let isLiveFollowed = true;
    for (let index = 0; index < STEPS; index++) {
      const before = first?.client;
      await step(devices, random, seed);
      isLiveFollowed &&= before === first?.client;
    }
    await rest(devices);

    const held = await Promise.all(devices.map(({ store }) => digestsOf(store)));
    for (const digests of held.slice(1)) {
      for (const [scope, digest] of digests) {
        expect(held[0]?.get(scope) ?? digest, scope).toBe(digest);
      }
    }
    for (const [index, device] of devices.entries()) {
      // A device that has seen none of it, and loads what there is now, is the oracle.
      const fresh = new Device(PEOPLE[index] ?? "", seed, PEOPLE.length);
      await fresh.start();
      expect(await fresh.client.untilSynced(SYNC_MS)).toBe(true);
      for (const entity of Object.keys(crmSchema.entities)) {
        const wanted = JSON.stringify(sorted(await fresh.client.select(entity, {})));
        expect(JSON.stringify(sorted(await device.client.select(entity, {}))), `${entity} of ${index}`).toBe(wanted);
      }
      await fresh.client.close();
    }
    for (const device of devices) {
      const { pending } = await device.client.status();
      expect(pending, "every mutation has ended").toBe(0);
      for (const rejected of await device.client.rejected()) {
        count(`rejected ${rejected.outcome.code}`);
      }
    }
    const query = { where: { lead_source: `fuzz ${seed}` }, sort: "firstname" } as const;
    if (isLiveFollowed) {
      count("live query followed");
      expect(shown, "a live query shows what asking shows").toEqual(await first?.client.db.contacts.select(query));
    }
    count(`conflicts ${(await devices[0]?.client.select("conflicts", {}))?.length === 0 ? "none" : "some"}`);
    stop?.();
    await Promise.all(devices.map(({ client }) => client.close()));
  },
  SYNC_MS * 3,
);

it("the histories had edits, cuts, restarts, conflicts and rejections in them", () => {
  const wanted = ["create", "update", "delete", "task", "pause", "cut", "restart", "conflicts some"];
  expect(
    wanted.filter((what) => (counts[what] ?? 0) === 0),
    JSON.stringify(counts),
  ).toEqual([]);
  console.log(JSON.stringify(counts));
});
