/**
 * The client in Rust and the one in TypeScript write the same records without a network, meet at one server, and end with the
 * same digests and the same values (invariant 6). A history is the life of one record: created on either device, then edited
 * on both at once. Histories run side by side, because starting a program takes longer than an edit.
 */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client, type Fields, type Json, type ReplicaStore } from "../../src/index.ts";
import { memory } from "../../src/storage/memory.ts";
import { Random } from "../random.ts";
import { PASSWORD, PROGRAM, type Server, startServer, until } from "./server.ts";

/** Rounds of histories side by side. More: `SDK_LANGUAGE_ROUNDS=100 npx vitest run test/e2e/languages.test.ts`. */
const ROUNDS = Number(process.env.SDK_LANGUAGE_ROUNDS ?? 25);
const HISTORIES = 20;
const EDITS_MAX = 3;
const SYNC_MS = 20_000;
const ENTITIES = ["contacts", "conflicts"] as const;

let server: Server;
let folder: string;
let store: ReplicaStore;
let ours: Client<CrmEntities>;

beforeAll(async () => {
  server = await startServer();
  folder = mkdtempSync(join(tmpdir(), "syncline-languages-"));
  native("init", "--server", server.url, "--email", "demo@syncline.dev");
  native("sync");
  ours = await Client.open<CrmEntities>({
    server: server.url,
    ...crm,
    store: async (schema) => {
      store = await memory()(schema);
      return store;
    },
    mode: "web_app",
    deviceName: "languages",
    platform: { WebSocket: WebSocket as unknown as typeof globalThis.WebSocket },
  });
  const signed = await ours.signIn({ email: "manager@syncline.dev", password: PASSWORD });
  expect(signed.ok, JSON.stringify(signed)).toBe(true);
  await syncOurs();
});
afterAll(async () => {
  await ours?.close();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a command of the native device and returns its answer. */
function native(...args: readonly string[]): { readonly [name: string]: Json } {
  const env = { ...process.env, SYNCLINE_PASSWORD: PASSWORD };
  const ended = spawnSync(PROGRAM, ["device", "--dir", join(folder, "native"), ...args, "--json"], {
    encoding: "utf8",
    env,
    maxBuffer: 64 << 20,
  });
  // 1: a line of `apply` failed, because its record was deleted; 4: a conflict waits for a person.
  if (![0, 1, 4].includes(ended.status ?? -1)) {
    throw new Error(`device ${args.join(" ")} ended with ${ended.status}: ${ended.stderr}`);
  }
  return JSON.parse(ended.stdout);
}

async function syncOurs(): Promise<void> {
  await ours.start();
  expect(await ours.untilSynced(SYNC_MS)).toBe(true);
}

function fieldsOf(random: Random): Fields {
  return random.pick<Fields>([
    { job_title: `J${random.below(4)}` },
    { city: `C${random.below(4)}`, zip: String(random.below(9)) },
    { city: `C${random.below(4)}` },
    { estimated_value: `${random.below(50)}.00` },
    { tags: { add: [`t${random.below(5)}`], remove: [`t${random.below(5) + 5}`] } },
    { tags: [`t${random.below(10)}`, "kept"] },
    { metadata: { [`k${random.below(3)}`]: random.pick<Json>([random.below(5), null, { deep: [true, "ü"] }]) } },
    { dnd: { call: random.chance(0.5), email: random.chance(0.5) } },
    { priority: random.pick(["low", "high", null] as const) },
    { last_contacted_at: `2026-11-${10 + random.below(19)}T0${random.below(9)}:00:00Z` },
    { notes: `N${random.below(5)} \u{1f600}` },
    { lastname: null },
  ]);
}

type Change = { readonly op: "create" | "update" | "delete"; readonly id: string; readonly fields: Fields };

function changesOf(random: Random, id: string): Change[] {
  return Array.from({ length: random.below(EDITS_MAX + 1) }, () =>
    random.chance(0.08) ? { op: "delete", id, fields: {} } : { op: "update", id, fields: fieldsOf(random) },
  );
}

async function applyOurs(changes: readonly Change[]): Promise<void> {
  for (const { op, id, fields } of changes) {
    const about = { entity: "contacts", id };
    const edit = op === "delete" ? ({ edit: "delete", ...about } as const) : ({ edit: op, ...about, fields } as const);
    const done = await ours.mutate([edit]);
    expect(done.ok || done.error.code === "not_found", JSON.stringify(done)).toBe(true);
  }
}

function applyNative(changes: readonly Change[]): void {
  if (changes.length > 0) {
    const file = join(folder, "changes.jsonl");
    const lines = changes.map(({ op, id, fields }) => ({ ops: [{ op, entity: "contacts", id, fields }] }));
    writeFileSync(file, lines.map((each) => JSON.stringify(each)).join("\n"));
    native("apply", file);
  }
}

/** Both go online, in either order, and again until each has what the other brought. */
async function meet(random: Random): Promise<void> {
  const isNativeFirst = random.chance(0.5);
  if (isNativeFirst) {
    native("sync");
  }
  await syncOurs();
  const { cursor } = native("sync");
  await until("both stand at the same seq", async () => (await ours.status()).meta?.cursor === cursor);
  expect(await ours.untilSynced(SYNC_MS)).toBe(true);
}

/** Digests by scope of those scopes that both hold. */
async function expectEqualDigests(): Promise<void> {
  const { scopes } = native("status") as unknown as { scopes: { id: string; digest: unknown; seq: number }[] };
  const held = await store.scopes();
  const common = scopes.filter(({ id }) => held.has(id));
  expect(common.length).toBeGreaterThan(1);
  for (const { id, digest, seq } of common) {
    expect({ id, seq: held.get(id)?.seq, digest: held.get(id)?.digest }).toEqual({ id, seq, digest });
  }
}

it(`[INV-6] ${ROUNDS * HISTORIES} random histories end alike in Rust and in TypeScript`, async () => {
  const random = new Random(20_261_121);
  const counts = { edits: 0, rejected: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const ids = Array.from({ length: HISTORIES }, () => ours.mintId());
    await ours.pause();
    const created = ids.map((id): Change => {
      const fields = { firstname: `H${round}`, lastname: "Both", tags: ["kept"], metadata: { k0: 0 } };
      return { op: "create", id, fields };
    });
    const cut = random.below(HISTORIES);
    await applyOurs(created.slice(0, cut));
    applyNative(created.slice(cut));
    await meet(random);
    await ours.pause();
    const [mine, theirs] = [ids.flatMap((id) => changesOf(random, id)), ids.flatMap((id) => changesOf(random, id))];
    await applyOurs(mine);
    applyNative(theirs);
    counts.edits += mine.length + theirs.length;
    await meet(random);
    await expectEqualDigests();
  }
  for (const entity of ENTITIES) {
    const listed = native("list", entity, "--limit", "0") as unknown as { id: string; rv: number; fields: Fields }[];
    const theirs = new Map(listed.map(({ id, rv, fields }) => [id, { rv, fields }]));
    for (const { id, rv, fields } of await ours.select(entity, {})) {
      expect(theirs.get(id), `${entity} ${id}`).toEqual({ rv, fields });
    }
    expect(theirs.size, entity).toBeGreaterThan(50);
  }
  counts.rejected = (await ours.rejected()).length;
  expect(counts.edits).toBeGreaterThan(ROUNDS * HISTORIES);
  console.log(JSON.stringify(counts));
}, 90_000);
