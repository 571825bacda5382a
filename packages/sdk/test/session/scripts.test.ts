/** Replays the scripts of `spec/sessions`; their README explains the format, and how the core writes them. */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Fields, isObject, type Json, type JsonObject } from "../../src/json.ts";
import { decodeFrame, decodeSnapshotLine } from "../../src/protocol/decode.ts";
import type { DeploymentMode, RecordKey, WireOp } from "../../src/protocol/frames.ts";
import { discardRejected, type Edit, mutate, resendRejected } from "../../src/replica/edit.ts";
import { Replica, type ReplicaIdentity } from "../../src/replica/replica.ts";
import type { ScopeState } from "../../src/replica/store.ts";
import { viewsOf } from "../../src/replica/view.ts";
import type { SchemaDeclaration } from "../../src/schema/declaration.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { ClientSession } from "../../src/session/session.ts";
import type { Effect, Input } from "../../src/session/state.ts";
import { MemoryStore } from "../../src/storage/memory.ts";

interface Device {
  readonly workspace_id: string;
  readonly user_id: string;
  readonly device_id: string;
  readonly client_id: string;
  readonly deployment_mode: DeploymentMode;
  readonly schema: SchemaDeclaration;
  readonly state: JsonObject;
  /** What happened before. */
  readonly beginnings: readonly Script[];
}

/** What a step feeds: an input of the machine as it stands in the file, or what a person does to the outbox. */
type StepInput =
  | { readonly input: "frame"; readonly frame: JsonObject }
  | {
      readonly input: "snapshot_rows";
      readonly scope: string;
      readonly rows: readonly Json[];
      readonly resume?: string;
    }
  | { readonly input: "snapshot_failed"; readonly scope: string; readonly is_lost?: boolean }
  | Exclude<Input, { readonly input: "frame" | "snapshot_rows" | "snapshot_failed" }>
  | { readonly input: "edit"; readonly mutation_id: string; readonly edits: readonly Edit[] }
  | { readonly input: "resend"; readonly client_seq: number; readonly changes: Fields; readonly mutation_id: string }
  | { readonly input: "discard"; readonly client_seq: number };

type Step = StepInput & {
  readonly at_ms?: number;
  readonly wall_ms?: number;
  readonly random?: string;
  readonly error?: string;
  readonly effects?: readonly Json[];
  readonly wakeup_ms: number | null;
  /** What differs from before. */
  readonly state?: JsonObject;
};

interface Script {
  readonly name: string;
  readonly rules: readonly string[];
  readonly random?: string;
  readonly begin?: string;
  readonly steps: readonly Step[];
}

/** What the wall clock says when the monotonic one says 0, unless a step says otherwise. */
const WALL_MS = 1_700_000_000_000;
const RANDOM = "55".repeat(16);

const folder = new URL("../../../../spec/sessions/", import.meta.url);
const read = (name: string): unknown => JSON.parse(readFileSync(new URL(name, folder), "utf8"));
const device = read("device.json") as Device;
const schema = readSchema(device.schema);
const files = readdirSync(folder).filter((name) => name.endsWith(".json") && name !== "device.json");

/** As JSON has it: what is undefined is not there. */
function plain(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json;
}

class Player {
  readonly #replica: Replica;
  readonly #session = new ClientSession(device.deployment_mode);
  readonly #random: string;
  #atMs = 0;

  private constructor(replica: Replica, random: string) {
    this.#replica = replica;
    this.#random = random;
  }

  static async make(random = RANDOM): Promise<Player> {
    const identity: ReplicaIdentity = {
      workspaceId: device.workspace_id,
      userId: device.user_id,
      deviceId: device.device_id,
      clientId: device.client_id,
    };
    return new Player(await Replica.create(new MemoryStore(), schema, identity), random);
  }

  /** Effects, or the code of why an edit was not taken, and when a tick is due. */
  async take(step: Step): Promise<Json> {
    this.#atMs = step.at_ms ?? this.#atMs;
    const now = {
      monotonicMs: this.#atMs,
      wallMs: step.wall_ms ?? WALL_MS + this.#atMs,
      random: Uint8Array.from(Buffer.from(step.random ?? this.#random, "hex")),
    };
    const input = inputOf(step);
    if (input !== undefined) {
      const pending = this.#replica.outbox.size;
      const effects = await this.#session.handle(this.#replica, input, now);
      const isTold = effects.some(({ effect }) => effect === "notify");
      expect(this.#replica.outbox.size < pending && !isTold, "less is pending and nobody is told").toBe(false);
      return this.#end({ ...(effects.length > 0 && { effects: effects.map(effectOf) }) });
    }
    const done = await this.#edit(step, now.wallMs);
    return this.#end(done.ok ? {} : { error: done.error.code });
  }

  #end(end: object): Json {
    return plain({ ...end, wakeup_ms: this.#session.nextWakeupMs() ?? null });
  }

  #edit(step: Step, nowMs: number) {
    const replica = this.#replica;
    switch (step.input) {
      case "edit":
        return mutate(replica, step.edits, { mutationId: step.mutation_id, nowMs });
      case "resend":
        return resendRejected(replica, step.client_seq, step.changes, { mutationId: step.mutation_id, nowMs });
      case "discard":
        return discardRejected(replica, step.client_seq);
      default:
        throw new Error(`${step.input} is no edit`);
    }
  }

  /** All that scripts say of session and replica. */
  async state(): Promise<JsonObject> {
    const { meta, store, outbox } = this.#replica;
    const scopes = [...(await store.scopes())].map(([scope, state]) => [scope, scopeOf(state)]);
    const rejected = (await store.rejected()).map(({ outcome }) => {
      const { client_seq, mutation_id, code } = outcome;
      return { client_seq, mutation_id, code };
    });
    const keys: RecordKey[] = [];
    for (const entity of schema.entities.keys()) {
      keys.push(...(await store.baseAll(entity)).map(({ id }): RecordKey => [entity, id]), ...outbox.touched(entity));
    }
    const views = (await viewsOf(this.#replica, keys)).flatMap((view) => view ?? []);
    return plain({
      phase: this.#session.phase,
      client_id: meta.clientId,
      epoch: meta.epoch ?? null,
      cursor: meta.cursor,
      decided_upto: meta.decidedUpto,
      next_client_seq: meta.nextClientSeq,
      pending: outbox.size,
      rejected,
      lease_until_ms: meta.leaseUntilMs,
      last_sync_ms: meta.lastSyncMs,
      repairs: meta.repairs,
      purged: meta.purged ?? null,
      scopes: Object.fromEntries(scopes),
      records: Object.fromEntries(views.map(({ entity, id, ...about }) => [`${entity} ${id}`, about])),
    }) as JsonObject;
  }
}

/** The machine's input, read as the program around it reads it; `undefined`: the step is an edit. */
function inputOf(step: Step): Input | undefined {
  switch (step.input) {
    case "frame": {
      const decoded = decodeFrame(JSON.stringify(step.frame));
      if (decoded.kind !== "frame") {
        throw new Error(`a frame is ${decoded.kind}: ${JSON.stringify(step.frame)}`);
      }
      return { input: "frame", frame: decoded.frame };
    }
    case "snapshot_rows": {
      const { input, scope, resume } = step;
      return { input, scope, rows: step.rows.map(rowOf), ...(resume !== undefined && { resume }) };
    }
    case "snapshot_failed":
      return { input: "snapshot_failed", scope: step.scope, isLost: step.is_lost ?? false };
    case "edit":
    case "resend":
    case "discard":
      return undefined;
    default:
      return step;
  }
}

function rowOf(row: Json): WireOp {
  const line = decodeSnapshotLine(JSON.stringify(row));
  if (line.kind !== "row") {
    throw new Error(`no row: ${JSON.stringify(row)}`);
  }
  return line.row;
}

function effectOf(effect: Effect): object {
  if (effect.effect !== "notify" || effect.event.event !== "rejected") {
    return effect;
  }
  return { effect: "notify", event: { event: "rejected", client_seqs: effect.event.clientSeqs } };
}

function scopeOf({ seq, digest, loading }: ScopeState): object {
  switch (loading?.how) {
    case "snapshot":
      return { seq, digest, loading: { how: "snapshot", seq: loading.seq, resume: loading.resume } };
    case "reconcile":
      return { seq, digest, loading };
    default:
      return { seq, digest };
  }
}

/** What is there after a step that says what differs; of `scopes` and `records` entry by entry, null for one that is gone. */
function after(before: JsonObject, changes: JsonObject): JsonObject {
  const members = Object.entries(changes).map(([name, change]): [string, Json] => {
    const held = before[name];
    if (!isObject(change) || !isObject(held)) {
      return [name, change];
    }
    const entries = Object.entries({ ...held, ...change });
    return [name, Object.fromEntries(entries.filter(([, entry]) => entry !== null))];
  });
  return { ...before, ...Object.fromEntries(members) };
}

/** What happened before, by its name. */
function stepsOf(begin: string): readonly Step[] {
  const script = device.beginnings.find(({ name }) => name === begin);
  if (script === undefined) {
    throw new Error(`nothing that may have happened before is called ${begin}`);
  }
  return script.steps;
}

it("a device begins with what the scripts begin with", async () => {
  expect(await (await Player.make()).state()).toEqual(device.state);
});

describe.each(files)("%s", (file) => {
  const scripts = (read(file) as Script[]).map((script) => ({ ...script, cited: `[${script.rules.join("] [")}]` }));

  it.each(scripts)("$cited $name", async ({ random, begin, steps }) => {
    const player = await Player.make(random);
    let state = device.state;
    const before = begin === undefined ? [] : stepsOf(begin);
    for (const [index, step] of [...before, ...steps].entries()) {
      const when = `step ${index + 1 - before.length}: ${step.input}`;
      const { error, effects, wakeup_ms } = step;
      expect(await player.take(step), when).toEqual(plain({ error, effects, wakeup_ms }));
      state = after(state, step.state ?? {});
      expect(await player.state(), when).toEqual(state);
    }
  });
});
