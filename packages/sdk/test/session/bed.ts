/** A replica and its session, driven by hand-made frames and a clock that a test turns. */

import { expect } from "vitest";
import { type Digest, DigestSum } from "../../src/digest.ts";
import type { Fields } from "../../src/json.ts";
import { type Code, classOf, type Problem } from "../../src/protocol/codes.ts";
import type {
  Batch,
  ClientFrame,
  Outcome,
  OutcomeKind,
  Put,
  ServerFrame,
  SyncPlan,
  Welcome,
  WireOp,
} from "../../src/protocol/frames.ts";
import { type Edit, mutate } from "../../src/replica/edit.ts";
import { Replica } from "../../src/replica/replica.ts";
import type { ScopeState } from "../../src/replica/store.ts";
import { type Viewed, viewOf } from "../../src/replica/view.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { ClientSession } from "../../src/session/session.ts";
import type { Effect, Input } from "../../src/session/state.ts";
import { MemoryStore } from "../../src/storage/memory.ts";

export const SCHEMA = readSchema({
  version: 1,
  roles: { agent: 30 },
  entities: {
    things: {
      fields: {
        name: { type: "text", indexed: true },
        note: { type: "text" },
        price: { type: "decimal", precision: 10, scale: 2 },
        visits: { type: "counter" },
        tags: { type: "set", items: "text" },
      },
    },
  },
});

export const WORKSPACE = "workspace";
export const SNAPSHOT: SyncPlan = { how: "snapshot", url: "/s?scope=x", seq: 10, count: 5_000 };
const WALL_MS = 1_700_000_000_000;

export function id(number: number): string {
  return `00000000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

export function team(number: number): string {
  return `team:${id(number)}`;
}

export function put(number: number, rv: number, scope: string = WORKSPACE, fields: Fields = { name: "x" }): Put {
  return { op: "put", entity: "things", id: id(number), rv, scope, fields };
}

export function patch(number: number, rv: number, fields: Fields, scope?: string): WireOp {
  return { op: "patch", entity: "things", id: id(number), rv, fields, ...(scope !== undefined && { scope }) };
}

export function digest(...rows: readonly (readonly [number, number])[]): Digest {
  const sum = new DigestSum();
  for (const [number, rv] of rows) {
    sum.add("things", id(number), rv);
  }
  return sum.value();
}

export function batch(from: number, to: number, ops: readonly WireOp[], more: Partial<Batch> = {}): Batch {
  return { type: "batch", from, to, changes: [{ ops }], ...more };
}

export function outcome(
  clientSeq: number,
  kind: OutcomeKind,
  seq: number,
  mutationId = id(1_000 + clientSeq),
): Outcome {
  const about = { client_seq: clientSeq, mutation_id: mutationId, outcome: kind, seq };
  return kind === "rejected" ? { ...about, code: "rule" } : about;
}

export function create(number: number, fields: Fields = { name: "mine" }): Edit {
  return { edit: "create", entity: "things", id: id(number), fields };
}

export function update(number: number, fields: Fields): Edit {
  return { edit: "update", entity: "things", id: id(number), fields };
}

export function problem(code: Code, more: Partial<Problem> = {}): ServerFrame {
  return { type: "error", problem: { code, class: classOf(code), message: "", ...more } };
}

export class Bed {
  readonly replica: Replica;
  readonly session = new ClientSession("local_install");
  timeMs = 1_000;

  private constructor(replica: Replica) {
    this.replica = replica;
  }

  static async make(): Promise<Bed> {
    const identity = { workspaceId: "acme", userId: id(1), deviceId: id(2), clientId: id(3) };
    return new Bed(await Replica.create(new MemoryStore(), SCHEMA, identity));
  }

  /** Live on the workspace scope at seq 10, empty. */
  static async live10(): Promise<Bed> {
    const bed = await Bed.make();
    await bed.live(10, [[WORKSPACE, { how: "resume" }]]);
    expect(bed.session.phase).toBe("live");
    expect(bed.replica.meta.cursor).toBe(10);
    return bed;
  }

  /** Feeds one input. Whoever shows what is pending looks again after events: less of it is told of, whatever it was. */
  async go(input: Input): Promise<readonly Effect[]> {
    const random = new Uint8Array(16).fill(0x55);
    const pending = this.replica.outbox.size;
    const effects = await this.session.handle(this.replica, input, {
      monotonicMs: this.timeMs,
      wallMs: WALL_MS + this.timeMs,
      random,
    });
    if (this.replica.outbox.size < pending && !effects.some(({ effect }) => effect === "notify")) {
      throw new Error(
        `nobody was told that ${this.replica.outbox.size} of ${pending} are pending after ${input.input}`,
      );
    }
    return effects;
  }

  frame(frame: ServerFrame): Promise<readonly Effect[]> {
    return this.go({ input: "frame", frame });
  }

  tick(afterMs: number): Promise<readonly Effect[]> {
    this.timeMs += afterMs;
    return this.go({ input: "tick" });
  }

  outcomes(...outcomes: readonly Outcome[]): Promise<readonly Effect[]> {
    return this.frame({ type: "outcomes", outcomes });
  }

  /** Edits as one mutation; its id follows from its number. */
  async edit(...edits: readonly Edit[]): Promise<number> {
    const mutationId = id(1_000 + this.replica.meta.nextClientSeq);
    const drafted = await mutate(this.replica, edits, { mutationId, nowMs: WALL_MS + this.timeMs });
    if (!drafted.ok) {
      throw new Error(drafted.error.message);
    }
    return drafted.value.clientSeq;
  }

  welcome(head: number, scopes: readonly (readonly [string, SyncPlan])[], more: Partial<Welcome> = {}): Welcome {
    return {
      type: "welcome",
      proto: 1,
      connection_id: "c",
      backend_id: id(9),
      epoch: 0,
      server_ms: 0,
      applied_client_seq: 0,
      head,
      schema: { version: 1, hash: "h" },
      heartbeat_ms: 30_000,
      window: 4,
      scopes: scopes.map(([scope, plan]) => ({ id: scope, plan })),
      lease_until_ms: 600_000_000,
      user_id: id(1),
      role: "agent",
      ...more,
    };
  }

  async live(head: number, scopes: readonly (readonly [string, SyncPlan])[]): Promise<readonly Effect[]> {
    await this.go({ input: "online" });
    await this.go({ input: "connected" });
    return this.frame(this.welcome(head, scopes));
  }

  view(number: number): Promise<Viewed | undefined> {
    return viewOf(this.replica, ["things", id(number)]);
  }

  async scope(scope: string): Promise<ScopeState | undefined> {
    return (await this.replica.store.scopes()).get(scope);
  }

  async pending(): Promise<number> {
    return this.replica.outbox.size;
  }
}

export function sent<T extends ClientFrame["type"]>(
  effects: readonly Effect[],
  type: T,
): Extract<ClientFrame, { type: T }>[] {
  const frames = effects.flatMap((effect) => (effect.effect === "send" ? [effect.frame] : []));
  return frames.filter((frame): frame is Extract<ClientFrame, { type: T }> => frame.type === type);
}

export function has(effects: readonly Effect[], kind: Effect["effect"]): boolean {
  return effects.some(({ effect }) => effect === kind);
}

export function told(effects: readonly Effect[], event: string): boolean {
  return effects.some((effect) => effect.effect === "notify" && effect.event.event === event);
}
