import { describe, expect, it } from "vitest";
import { EMPTY_DIGEST } from "../../src/digest.ts";
import type { SyncPlan } from "../../src/protocol/frames.ts";
import { discardRejected, mutate, resendRejected } from "../../src/replica/edit.ts";
import { rekey } from "../../src/replica/outcomes.ts";
import {
  Bed,
  batch,
  create,
  digest,
  has,
  id,
  outcome,
  patch,
  problem,
  put,
  SNAPSHOT,
  sent,
  team,
  told,
  update,
  WORKSPACE,
} from "./bed.ts";

const RESUME: SyncPlan = { how: "resume" };

describe("grants", () => {
  it("[GRT-1] a page in flight does not bring a revoked scope back", async () => {
    const bed = await Bed.make();
    await bed.live(10, [[team(1), SNAPSHOT]]);
    await bed.frame({ type: "grant", scope: team(1), action: "remove", reason: "" });
    await bed.go({ input: "snapshot_rows", scope: team(1), rows: [put(1, 5, team(1))] });
    expect(await bed.view(1)).toBeUndefined();
    expect(await bed.scope(team(1))).toBeUndefined();
  });

  it("[GRT-1] staged rows of a revoked scope are not applied", async () => {
    const bed = await Bed.make();
    await bed.live(10, [[team(1), { how: "catch_up", from: 0, to: 10 }]]);
    await bed.frame(batch(0, 10, [put(1, 5, team(1))], { catch_up: true, more: true }));
    await bed.frame({ type: "grant", scope: team(1), action: "remove", reason: "" });
    await bed.frame(batch(0, 10, [], { catch_up: true }));
    expect(await bed.view(1)).toBeUndefined();
  });

  it("[GRT-1] a comparison of a revoked scope does not end syncing", async () => {
    const bed = await Bed.make();
    await bed.live(10, [[team(1), { how: "reconcile", seq: 10 }]]);
    await bed.frame({ type: "grant", scope: team(1), action: "remove", reason: "" });
    await bed.frame(problem("forbidden", { scope: team(1) }));
    expect(bed.session.phase).not.toBe("stopped");
  });

  it("[SES-3] a held scope that a welcome does not list is dropped, also while its download runs", async () => {
    const bed = await Bed.make();
    await bed.live(10, [
      [WORKSPACE, RESUME],
      [team(1), SNAPSHOT],
    ]);
    await bed.go({ input: "snapshot_rows", scope: team(1), rows: [put(1, 5, team(1))], resume: "t" });
    expect(await bed.view(1)).toBeDefined();
    // A gap: hello again.
    await bed.frame(batch(12, 13, []));
    await bed.frame(bed.welcome(13, [[WORKSPACE, RESUME]]));
    await bed.go({ input: "snapshot_rows", scope: team(1), rows: [put(2, 5, team(1))] });
    expect([await bed.view(1), await bed.view(2)]).toEqual([undefined, undefined]);
  });

  it("[SES-2] the answer to the last of several hellos counts", async () => {
    const bed = await Bed.live10();
    for (const scope of [team(1), team(2)]) {
      expect(sent(await bed.frame({ type: "grant", scope, action: "add", reason: "" }), "hello")).toHaveLength(1);
    }
    await bed.frame(bed.welcome(11, [[WORKSPACE, RESUME]]));
    expect(bed.replica.meta.cursor).toBe(10);
    await bed.frame(
      bed.welcome(
        12,
        [WORKSPACE, team(1), team(2)].map((scope) => [scope, RESUME] as const),
      ),
    );
    expect(bed.replica.meta.cursor).toBe(12);
  });
});

describe("batches", () => {
  it("[BAT-1] a live batch applies at the cursor only", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(9, 10, [put(1, 10)]));
    expect(await bed.view(1), "what is behind the cursor is ignored").toBeUndefined();
    expect(sent(await bed.frame(batch(11, 12, [put(1, 12)])), "hello"), "a gap").toHaveLength(1);
    expect(await bed.view(1)).toBeUndefined();
    await bed.frame(bed.welcome(10, [[WORKSPACE, RESUME]]));
    await bed.frame(batch(10, 12, [put(1, 12)]));
    expect(bed.replica.meta.cursor).toBe(12);
    expect(await bed.view(1)).toBeDefined();
    expect(await bed.scope(WORKSPACE)).toEqual({ seq: 12, digest: digest([1, 12]) });
  });

  it("[BAT-2] a patch sets and clears fields, and leaves the others", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 11, [put(1, 11, WORKSPACE, { name: "a", note: "n", price: "1.00" })]));
    await bed.frame(batch(11, 12, [patch(1, 12, { note: null, price: "2.00" })]));
    expect((await bed.view(1))?.fields).toEqual({ name: "a", price: "2.00" });
    expect(Object.keys((await bed.view(1))?.fields ?? {}), "null is no value").toEqual(["name", "price"]);
    expect((await bed.view(1))?.rv).toBe(12);
  });

  it("[BAT-2] a patch moves a record between scopes, and leave removes it", async () => {
    const bed = await Bed.make();
    await bed.live(10, [
      [WORKSPACE, RESUME],
      [team(1), RESUME],
    ]);
    await bed.frame(batch(10, 11, [put(1, 11)]));
    await bed.frame(batch(11, 12, [patch(1, 12, {}, team(1))]));
    expect((await bed.scope(WORKSPACE))?.digest).toEqual(EMPTY_DIGEST);
    expect((await bed.scope(team(1)))?.digest).toEqual(digest([1, 12]));
    await bed.frame(batch(12, 13, [{ op: "leave", entity: "things", id: id(1) }]));
    expect((await bed.scope(team(1)))?.digest).toEqual(EMPTY_DIGEST);
    expect(await bed.view(1)).toBeUndefined();
  });

  it("[BAT-2] a live change with a lower rv than the record's is in it already", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 15, [put(1, 15, WORKSPACE, { name: "new" })]));
    await bed.frame(batch(15, 16, [patch(1, 14, { name: "old" }), { op: "del", entity: "things", id: id(1), rv: 13 }]));
    expect((await bed.view(1))?.fields.name).toBe("new");
    await bed.frame(batch(16, 17, [put(1, 12, WORKSPACE, { name: "old" })]));
    expect((await bed.view(1))?.fields.name).toBe("new");
  });

  it("[BAT-2] a patch of a record that is not there is a mismatch", async () => {
    const bed = await Bed.live10();
    const effects = await bed.frame(batch(10, 11, [patch(1, 11, { note: "n" })]));
    expect(told(effects, "repairing")).toBe(true);
    expect(sent(effects, "verify")).toHaveLength(1);
  });

  it("[BAT-2] a patch of a record whose scope is loading is ignored, and one that leaves that scope removes it", async () => {
    const bed = await Bed.make();
    await bed.live(10, [
      [WORKSPACE, RESUME],
      [team(1), SNAPSHOT],
    ]);
    const rows = [put(1, 5, team(1)), put(2, 5, team(1))];
    await bed.go({ input: "snapshot_rows", scope: team(1), rows, resume: "t" });
    await bed.frame(batch(10, 11, [patch(1, 11, { note: "n" }), patch(2, 11, {}, WORKSPACE)]));
    expect(await bed.view(1)).toMatchObject({ rv: 5, fields: { name: "x" } });
    expect(await bed.view(2)).toBeUndefined();
  });

  it("[BAT-3] base, cursor, digests and the outbox change in one write", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.outcomes(outcome(1, "applied", 11));
    const { store } = bed.replica;
    const writes: object[] = [];
    const write = store.write.bind(store);
    store.write = (step) => {
      writes.push(step);
      return write(step);
    };
    const by = [bed.replica.meta.clientId, 1] as const;
    await bed.frame({ ...batch(10, 11, []), changes: [{ by, ops: [put(1, 11)] }] });
    const [step, ...others] = writes;
    expect(others).toEqual([]);
    expect(step).toMatchObject({ meta: { cursor: 11 }, basePut: [{ rv: 11 }], outboxDelete: [1] });
  });

  it("[SES-6] an edit and its outcome wait for the disk, what the server gives again does not", async () => {
    const bed = await Bed.live10();
    const waits: boolean[] = [];
    const { store } = bed.replica;
    const write = store.write.bind(store);
    store.write = (writes) => {
      waits.push(writes.isRepeatable !== true);
      return write(writes);
    };
    await bed.edit(create(1));
    await bed.outcomes(outcome(1, "applied", 11));
    expect(waits).toEqual([true, true]);
    await bed.frame(batch(10, 11, [put(1, 11)]));
    expect(waits).toEqual([true, true, false]);
    await bed.frame({ type: "grant", scope: team(1), action: "remove", reason: "" });
    expect(waits.slice(3)).not.toContain(false);
  });

  it("[BAT-4] frames of a catch-up are applied together, at the last", async () => {
    const bed = await Bed.make();
    await bed.live(20, [[WORKSPACE, { how: "catch_up", from: 0, to: 20 }]]);
    await bed.frame(batch(0, 20, [put(1, 15)], { catch_up: true, more: true }));
    expect(await bed.view(1)).toBeUndefined();
    await bed.frame(batch(0, 20, [put(2, 16)], { catch_up: true, digests: [[WORKSPACE, digest([1, 15], [2, 16])]] }));
    expect([(await bed.view(1))?.rv, (await bed.view(2))?.rv]).toEqual([15, 16]);
    expect(bed.replica.meta.cursor).toBe(20);
    expect(await bed.scope(WORKSPACE)).toEqual({ seq: 20, digest: digest([1, 15], [2, 16]) });
  });

  it("[BAT-4] a catch-up in the live stream is applied", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 20, [put(1, 15)], { catch_up: true }));
    expect(bed.replica.meta.cursor).toBe(20);
  });

  it("[BAT-7] a scope that nobody announced starts where the batch ends", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 14, [put(1, 13, team(5))], { digests: [[team(5), digest([1, 13])]] }));
    expect(await bed.scope(team(5))).toEqual({ seq: 14, digest: digest([1, 13]) });
  });

  it("[BAT-1] a scope that is loaded and not caught up keeps its seq", async () => {
    const bed = await Bed.make();
    await bed.live(10, [
      [team(1), SNAPSHOT],
      [team(2), SNAPSHOT],
    ]);
    await bed.go({ input: "snapshot_end", scope: team(1), seq: 7 });
    await bed.frame(batch(10, 11, []));
    expect((await bed.scope(team(1)))?.seq).toBe(7);
  });
});

describe("what screens show", () => {
  it("[VEW-2] an own change never flickers, whichever of batch and outcome comes first", async () => {
    for (const first of ["batch", "outcome"] as const) {
      const bed = await Bed.live10();
      await bed.frame(batch(10, 11, [put(1, 11, WORKSPACE, { visits: 3 })]));
      await bed.edit(update(1, { visits: { inc: 2 } }));
      expect((await bed.view(1))?.fields.visits).toBe(5);
      const own = {
        ...batch(11, 12, []),
        changes: [{ by: [bed.replica.meta.clientId, 1] as const, ops: [patch(1, 12, { visits: 5 })] }],
      };
      const steps = [() => bed.frame(own), () => bed.outcomes(outcome(1, "applied", 12))];
      for (const step of first === "batch" ? steps : steps.reverse()) {
        await step();
        expect((await bed.view(1))?.fields.visits, `${first} first`).toBe(5);
      }
      expect(await bed.view(1)).toMatchObject({ state: "synced", rv: 12 });
      expect(await bed.pending()).toBe(0);
    }
  });

  it("[VEW-2] a mutation leaves the overlay when the cursor reaches its outcome, whatever brings it there", async () => {
    for (const how of ["catch-up", "batch of others", "welcome"] as const) {
      const bed = await Bed.live10();
      await bed.edit(create(1));
      await bed.outcomes(outcome(1, "superseded", 12));
      expect(await bed.pending()).toBe(1);
      if (how === "welcome") {
        await bed.go({ input: "disconnected" });
        await bed.go({ input: "online" });
        await bed.go({ input: "connected" });
        await bed.frame(bed.welcome(12, [[WORKSPACE, RESUME]], { applied_client_seq: 1 }));
      } else {
        await bed.frame(batch(10, 12, [], how === "catch-up" ? { catch_up: true } : {}));
      }
      expect(await bed.pending(), how).toBe(0);
      expect(await bed.view(1), how).toBeUndefined();
    }
  });

  it("[VEW-2] a rejected mutation leaves at once and keeps its values", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1, { name: "no" }));
    const effects = await bed.outcomes(outcome(1, "rejected", 10));
    expect(told(effects, "rejected")).toBe(true);
    expect(await bed.view(1)).toBeUndefined();
    const [rejected] = await bed.replica.store.rejected();
    expect(rejected).toMatchObject({ outcome: { code: "rule" }, mutation: { ops: [{ fields: { name: "no" } }] } });
    expect(bed.replica.meta.decidedUpto).toBe(1);

    const stamp = { mutationId: id(77), nowMs: 0 };
    expect(await resendRejected(bed.replica, 1, { name: "yes" }, stamp)).toMatchObject({ ok: true });
    expect((await bed.view(1))?.fields.name).toBe("yes");
    expect(await bed.replica.store.rejected()).toEqual([]);
    expect(await resendRejected(bed.replica, 1, {}, stamp)).toMatchObject({ ok: false, error: { code: "not_found" } });
    expect(await discardRejected(bed.replica, 1), "forgotten already").toMatchObject({ ok: true });
  });

  it("[VEW-1] pending ops are replayed in order over a base that moves", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 11, [put(1, 11, WORKSPACE, { name: "a", tags: ["x"] })]));
    await bed.edit(update(1, { tags: { add: ["mine"] } }), update(1, { name: "b" }));
    await bed.edit(update(1, { name: null }));
    await bed.frame(batch(11, 12, [patch(1, 12, { tags: ["theirs", "x"], note: "n" })]));
    expect((await bed.view(1))?.fields).toEqual({ tags: ["mine", "theirs", "x"], note: "n" });
    await bed.edit({ edit: "delete", entity: "things", id: id(1) });
    expect(await bed.view(1)).toBeUndefined();
  });

  it("[VAL-2] saying again what is there is no change, and whole sets go out as differences", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 11, [put(1, 11, WORKSPACE, { name: "x", tags: ["a", "b"] })]));
    await bed.edit(update(1, { name: "x", note: "new", tags: ["b", "c"] }));
    const [pending] = await bed.replica.store.outbox(1, 1);
    expect(pending?.mutation.ops).toEqual([
      {
        op: "update",
        entity: "things",
        id: id(1),
        base_rv: 11,
        fields: { note: "new", tags: { add: ["c"], remove: ["a"] } },
      },
    ]);
  });

  it("[MUT-4] a mutation names the pending creations it builds on", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.edit(create(2));
    await bed.edit(update(1, { name: "b" }));
    const [pending] = await bed.replica.store.outbox(3, 1);
    expect(pending?.mutation.depends_on).toEqual([1]);
  });

  it("[MUT-5] no edits, too many and too large ones are refused, and nothing is stored", async () => {
    const bed = await Bed.live10();
    const stamp = { mutationId: id(7), nowMs: 0 };
    const many = Array.from({ length: 257 }, (_, index) => create(index + 1));
    const large = Array.from({ length: 100 }, (_, index) =>
      create(index + 1, { name: "x".repeat(250), note: "y".repeat(250) }),
    );
    const huge = Array.from({ length: 5 }, () => large).flat();
    for (const edits of [[], many, huge]) {
      expect(await mutate(bed.replica, edits, stamp)).toMatchObject({ ok: false, error: { code: "too_large" } });
    }
    const unknown = { edit: "create", entity: "nothing", id: id(1), fields: {} } as const;
    expect(await mutate(bed.replica, [unknown], stamp)).toMatchObject({ error: { code: "unknown_entity" } });
    expect(await mutate(bed.replica, [update(9, {})], stamp)).toMatchObject({ error: { code: "not_found" } });
    const invalid = create(1, { price: "1.005" });
    expect(await mutate(bed.replica, [create(2), invalid], stamp)).toMatchObject({
      error: { code: "validation", field: "price", entity: "things" },
    });
    expect(await bed.pending()).toBe(0);
    expect(bed.replica.meta.nextClientSeq).toBe(1);
  });

  it("a locked copy cannot be written", async () => {
    const bed = await Bed.live10();
    const nowMs = bed.replica.meta.leaseUntilMs + 1;
    const drafted = await mutate(bed.replica, [create(1)], { mutationId: id(7), nowMs });
    expect(drafted).toMatchObject({ ok: false, error: { code: "lease_expired" } });
  });
});

describe("pushing", () => {
  it("[PSH-1] [VEW-6] a welcome fills the window, and the answer to each push makes room", async () => {
    const bed = await Bed.make();
    for (let number = 1; number <= 510; number++) {
      await bed.edit(create(number));
    }
    const pushes = sent(await bed.live(10, [[WORKSPACE, RESUME]]), "push");
    expect(pushes.map(({ mutations }) => mutations.length)).toEqual([100, 100, 100, 100]);
    const outcomes = pushes[0]?.mutations.map((mutation) => outcome(mutation.client_seq, "applied", 10)) ?? [];
    const next = sent(await bed.outcomes(...outcomes), "push");
    expect(next.map(({ mutations }) => [mutations[0]?.client_seq, mutations.length])).toEqual([[401, 100]]);
  });

  it("[CLK-1] the age is taken when the frame is made, and is never negative", async () => {
    const bed = await Bed.make();
    await bed.edit(create(1));
    bed.timeMs += 5_000;
    await bed.edit(create(2));
    bed.timeMs -= 1_000;
    const [push] = sent(await bed.live(10, [[WORKSPACE, RESUME]]), "push");
    expect(push?.mutations.map(({ age_ms }) => age_ms)).toEqual([4_000, 0]);
  });

  it("[LIV-1] retry_ms holds although the window comes back out of order", async () => {
    const bed = await Bed.make();
    for (let number = 1; number <= 150; number++) {
      await bed.edit(create(number));
    }
    await bed.live(10, [[WORKSPACE, RESUME]]);
    await bed.frame({ type: "slow_down", retry_ms: 5_000 });
    expect(sent(await bed.frame({ type: "out_of_order", expected: 1 }), "push")).toEqual([]);
    const pushes = sent(await bed.tick(5_000), "push");
    expect(pushes[0]?.mutations[0]?.client_seq).toBe(1);
  });

  it("[PSH-4] out_of_order says where to go on", async () => {
    const bed = await Bed.live10();
    for (let number = 1; number <= 3; number++) {
      await bed.edit(create(number));
    }
    expect(sent(await bed.go({ input: "local_change" }), "push")[0]?.mutations).toHaveLength(3);
    const pushes = sent(await bed.frame({ type: "out_of_order", expected: 2 }), "push");
    expect(pushes.map(({ mutations }) => mutations.map(({ client_seq }) => client_seq))).toEqual([[2, 3]]);
  });

  it("[LIV-2] batches of others do not hide a push that is never answered", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.go({ input: "local_change" });
    let isStuck = false;
    for (let seq = 10; seq < 20 && !isStuck; seq++) {
      isStuck = told(await bed.tick(10_000), "stuck");
      await bed.frame(batch(seq, seq + 1, []));
    }
    expect(isStuck).toBe(true);
  });

  it("[LIV-2] a catch-up that never ends is dropped", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 20, [], { catch_up: true, more: true }));
    expect(bed.session.nextWakeupMs()).toBeLessThanOrEqual(bed.timeMs + 30_000);
    expect(told(await bed.tick(29_000), "stuck")).toBe(false);
    await bed.frame(batch(10, 20, [], { catch_up: true, more: true }));
    expect(told(await bed.tick(1_000), "stuck")).toBe(true);
  });

  it("[VEW-3] an outcome whose effects do not arrive makes the client say hello again", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.go({ input: "local_change" });
    await bed.outcomes(outcome(1, "applied", 12));
    expect(sent(await bed.tick(9_000), "hello")).toHaveLength(0);
    expect(sent(await bed.tick(1_000), "hello")).toHaveLength(1);
  });

  it("[PSH-7] a number the server used otherwise does not wedge the outbox", async () => {
    const bed = await Bed.make();
    await bed.edit(create(1));
    const before = bed.replica.meta.clientId;
    await bed.go({ input: "online" });
    await bed.go({ input: "connected" });
    await bed.frame(bed.welcome(10, [[WORKSPACE, RESUME]], { applied_client_seq: 1 }));
    await bed.outcomes(outcome(1, "applied", 9, id(999)));
    expect(bed.replica.meta.clientId).not.toBe(before);
    expect(await bed.pending()).toBe(1);
    expect(bed.session.phase).toBe("waiting");
  });

  it("[EPO-3] a new client id keeps the rejected list, and what a restored server lost", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.outcomes(outcome(1, "rejected", 10));
    await bed.edit(create(2));
    await bed.edit(update(2, { note: "n" }));
    // The effects are not here yet.
    await bed.outcomes(outcome(2, "applied", 12));
    await rekey(bed.replica, id(55), 0);
    const kept = await bed.replica.store.outbox(0, 9);
    expect(kept.map(({ mutation }) => [mutation.client_seq, mutation.depends_on])).toEqual([
      [1, undefined],
      [2, [1]],
    ]);
    expect(kept.every((pending) => pending.outcome === undefined)).toBe(true);
    expect(await bed.replica.store.rejected()).toHaveLength(1);
  });

  it("[EPO-3] a restored server is offered again what it does not know", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.edit(create(2));
    await bed.outcomes(outcome(1, "applied", 10), outcome(2, "rejected", 10));
    expect(await bed.pending()).toBe(0);
    await bed.go({ input: "disconnected" });
    await bed.go({ input: "online" });
    await bed.go({ input: "connected" });
    const effects = await bed.frame(bed.welcome(2 ** 40, [[WORKSPACE, RESUME]], { epoch: 1, applied_client_seq: 0 }));
    const [push] = sent(effects, "push");
    // A rejected one is not tried again: an empty one keeps the numbering without a gap.
    expect(push?.mutations.map(({ client_seq, ops }) => [client_seq, ops.length])).toEqual([
      [1, 1],
      [2, 0],
    ]);
  });

  it("[EPO-4] another server is not written to, and everything is kept", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.go({ input: "disconnected" });
    await bed.go({ input: "online" });
    await bed.go({ input: "connected" });
    const effects = await bed.frame(bed.welcome(10, [[WORKSPACE, RESUME]], { backend_id: id(99) }));
    expect(told(effects, "stopped")).toBe(true);
    expect(await bed.pending()).toBe(1);
  });
});

describe("revocation", () => {
  it("[REV-2] the base goes at once, what is pending is handed over, then everything is deleted", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 11, [put(1, 11)]));
    await bed.edit(create(2));
    const effects = await bed.frame({ type: "purge", code: "device_revoked", reason: "" });
    expect((await bed.replica.store.baseAll("things")).length).toBe(0);
    expect(sent(effects, "push")[0]?.mutations).toHaveLength(1);
    const end = await bed.outcomes({ ...outcome(1, "rejected", 11), code: "device_revoked" });
    expect(told(end, "purged")).toBe(true);
    expect([await bed.pending(), (await bed.replica.store.rejected()).length]).toEqual([0, 0]);
    expect(bed.replica.meta.purged).toBe("device_revoked");
    expect(bed.session.phase).toBe("stopped");
  });

  it("[REV-2] a cut while handing over keeps what was not handed over", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.frame({ type: "purge", code: "device_revoked", reason: "" });
    await bed.go({ input: "disconnected" });
    expect(await bed.pending()).toBe(1);
    expect(bed.session.phase).toBe("waiting");
  });
});

describe("snapshots and repairs", () => {
  it("[SNP-3] rows do not replace newer ones, nor those that moved to a scope that is up to date", async () => {
    const bed = await Bed.make();
    await bed.live(10, [
      [WORKSPACE, RESUME],
      [team(1), SNAPSHOT],
    ]);
    await bed.frame(
      batch(10, 11, [put(1, 11, team(1), { name: "live" }), put(2, 11, WORKSPACE, { name: "elsewhere" })]),
    );
    const rows = [put(1, 9, team(1), { name: "old" }), put(2, 12, team(1), { name: "moved" }), put(3, 9, team(2))];
    await bed.go({ input: "snapshot_rows", scope: team(1), rows, resume: "t1" });
    expect((await bed.view(1))?.fields.name).toBe("live");
    expect((await bed.view(2))?.fields.name, "the live batch that moves it is on its way").toBe("elsewhere");
    expect(await bed.view(3), "a row of another scope").toBeUndefined();
    expect((await bed.scope(team(1)))?.loading).toMatchObject({ resume: "t1" });
  });

  it("[SNP-3] an interrupted download goes on from its last page, and a finished one is caught up by a hello", async () => {
    const bed = await Bed.make();
    await bed.live(10, [[team(1), SNAPSHOT]]);
    await bed.go({ input: "snapshot_rows", scope: team(1), rows: [put(1, 5, team(1))], resume: "t1" });
    await bed.go({ input: "disconnected" });
    const again = await bed.live(11, [[team(1), SNAPSHOT]]);
    expect(again.find(({ effect }) => effect === "fetch_snapshot")).toMatchObject({ resume: "t1" });
    expect(await bed.view(1)).toBeDefined();
    const [hello] = sent(await bed.go({ input: "snapshot_end", scope: team(1), seq: 10 }), "hello");
    expect(hello?.scopes).toEqual([{ id: team(1), seq: 10, digest: digest([1, 5]) }]);
  });

  it("[LIV-1] a download that always fails backs off, and starts over after three", async () => {
    const bed = await Bed.make();
    await bed.live(10, [[team(1), SNAPSHOT]]);
    await bed.go({ input: "snapshot_rows", scope: team(1), rows: [], resume: "t1" });
    const waits: number[] = [];
    let resumes = 0;
    for (let index = 0; index < 8; index++) {
      await bed.go({ input: "snapshot_failed", scope: team(1), isLost: false });
      const atMs = bed.session.nextWakeupMs() ?? 0;
      waits.push(atMs - bed.timeMs);
      await bed.tick(atMs - bed.timeMs);
      await bed.go({ input: "connected" });
      const effects = await bed.frame(bed.welcome(10, [[team(1), SNAPSHOT]]));
      resumes += effects.some((effect) => effect.effect === "fetch_snapshot" && effect.resume !== undefined) ? 1 : 0;
    }
    expect(waits.at(-1)).toBeGreaterThan((waits[0] ?? 0) * 10);
    expect(resumes).toBe(3);
  });

  it("[REP-1] [REP-2] [REP-3] a mismatch is narrowed down, fetched and removed", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 11, [put(1, 11), put(2, 11), put(3, 11)]));
    const theirs = digest([1, 11], [2, 12], [4, 9]);
    const first = await bed.frame(batch(11, 12, [], { digests: [[WORKSPACE, theirs]] }));
    const [whole] = sent(first, "verify");
    expect(whole?.ranges).toEqual([
      {
        lo: "00000000-0000-0000-0000-000000000000",
        hi: "ffffffff-ffff-ffff-ffff-ffffffffffff",
        digest: digest([1, 11], [2, 11], [3, 11]),
      },
    ]);
    const halves = [
      { lo: id(1), hi: id(1), digest: digest([1, 11]) },
      { lo: id(2), hi: id(9), digest: digest([2, 12], [4, 9]) },
    ];
    const [next] = sent(await bed.frame({ type: "verify_reply", scope: WORKSPACE, seq: 12, split: halves }), "verify");
    expect(next?.ranges, "what agrees is not asked again").toEqual([
      { lo: id(2), hi: id(9), digest: digest([2, 11], [3, 11]) },
    ]);
    const rows = [
      {
        lo: id(2),
        hi: id(9),
        rows: [
          ["things", id(2), 12],
          ["things", id(4), 9],
        ] as const,
      },
    ];
    const [fetch] = sent(await bed.frame({ type: "verify_reply", scope: WORKSPACE, seq: 12, rows }), "fetch");
    expect(fetch?.records).toEqual([
      ["things", id(2)],
      ["things", id(4)],
    ]);
    expect(await bed.view(3), "it is not listed any more").toBeUndefined();
    const part = await bed.frame({ type: "records", scope: WORKSPACE, seq: 13, answered: 1, records: [put(2, 12)] });
    expect(sent(part, "fetch")[0]?.records, "what did not fit is asked for again").toEqual([["things", id(4)]]);
    await bed.frame(batch(12, 13, []));
    const end = await bed.frame({ type: "records", scope: WORKSPACE, seq: 13, answered: 1, records: [put(4, 9)] });
    expect(sent(end, "hello")[0]?.scopes).toEqual([{ id: WORKSPACE, seq: 12, digest: theirs }]);
    expect(bed.replica.meta.repairs).toBe(1);
  });

  it("[REP-5] a verify that is answered unavailable is asked again", async () => {
    const bed = await Bed.make();
    await bed.live(10, [[WORKSPACE, { how: "reconcile", seq: 10 }]]);
    await bed.frame(problem("unavailable", { scope: WORKSPACE }));
    expect(sent(await bed.tick(900), "verify")).toHaveLength(0);
    expect(sent(await bed.tick(200), "verify")).toHaveLength(1);
  });

  it("[REP-4] a mismatch within the minute is repaired later, and repairs that help never lead to a reload", async () => {
    const bed = await Bed.live10();
    const bad = digest([77, 1]);
    const heal = async (seq: number): Promise<void> => {
      await bed.frame({ type: "verify_reply", scope: WORKSPACE, seq });
      await bed.frame(bed.welcome(seq, [[WORKSPACE, RESUME]]));
    };
    await bed.frame(batch(10, 11, [], { digests: [[WORKSPACE, bad]] }));
    await heal(11);
    const again = await bed.frame(batch(11, 12, [], { digests: [[WORKSPACE, bad]] }));
    expect(sent(again, "verify")).toHaveLength(0);
    bed.timeMs += 50_000;
    await bed.frame({ type: "heartbeat_ack", server_ms: 0 });
    expect(sent(await bed.tick(10_001), "verify")).toHaveLength(1);
    await heal(12);
    for (let seq = 12; seq < 20; seq++) {
      bed.timeMs += 3_600_000;
      await bed.frame(batch(seq, seq + 1, [], { digests: [[WORKSPACE, seq % 2 === 0 ? EMPTY_DIGEST : bad]] }));
      if (seq % 2 === 1) {
        expect((await bed.scope(WORKSPACE))?.loading?.how).toBe("reconcile");
        await heal(seq + 1);
      }
    }
  });

  it("[REP-4] after three repairs that did not help the scope is loaded anew", async () => {
    const bed = await Bed.live10();
    await bed.frame(batch(10, 11, [put(1, 11)]));
    const bad = digest([77, 1]);
    for (let seq = 11; seq < 14; seq++) {
      await bed.frame(batch(seq, seq + 1, [], { digests: [[WORKSPACE, bad]] }));
      await bed.frame({ type: "verify_reply", scope: WORKSPACE, seq: seq + 1 });
      await bed.frame(bed.welcome(seq + 1, [[WORKSPACE, RESUME]]));
      bed.timeMs += 61_000;
    }
    await bed.frame(batch(14, 15, [], { digests: [[WORKSPACE, bad]] }));
    expect((await bed.replica.store.baseAll("things")).length).toBe(0);
    expect((await bed.scope(WORKSPACE))?.seq).toBe(0);
  });
});

describe("connections", () => {
  it("[LIV-1] back-off grows with full jitter up to a minute, and the server's wish wins", async () => {
    const bed = await Bed.make();
    await bed.go({ input: "online" });
    const waits: number[] = [];
    for (let index = 0; index < 12; index++) {
      await bed.go({ input: "disconnected" });
      const waitMs = (bed.session.nextWakeupMs() ?? 0) - bed.timeMs;
      waits.push(waitMs);
      expect(has(await bed.tick(waitMs), "connect")).toBe(true);
    }
    // Random bytes of 0x55 are a third.
    expect(waits.slice(0, 3)).toEqual([166, 333, 666]);
    expect(waits.at(-1)).toBe(20_000);
    await bed.go({ input: "connected" });
    await bed.frame(bed.welcome(10, [[WORKSPACE, RESUME]]));
    await bed.frame({ type: "goodbye", retry_ms: 4_000, reason: "" });
    expect((bed.session.nextWakeupMs() ?? 0) - bed.timeMs).toBe(4_000);
  });

  it("[SES-7] a heartbeat after silence, and a cut when it is not answered", async () => {
    const bed = await Bed.live10();
    await bed.tick(1_000);
    expect(sent(await bed.tick(30_000), "heartbeat")).toHaveLength(1);
    expect(has(await bed.tick(30_000), "disconnect")).toBe(true);
  });

  it("[SES-6] what is durable is acknowledged, at most once a second", async () => {
    const bed = await Bed.live10();
    expect(sent(await bed.tick(0), "ack")).toEqual([{ type: "ack", seq: 10, outcomes_upto: 0 }]);
    await bed.frame(batch(10, 11, []));
    expect(sent(await bed.tick(999), "ack")).toEqual([]);
    expect(sent(await bed.tick(1), "ack")).toEqual([{ type: "ack", seq: 11, outcomes_upto: 0 }]);
    expect(sent(await bed.tick(1_000), "ack")).toEqual([]);
  });

  it.each([
    [4400, "waiting", false],
    [4401, "waiting", true],
    [4406, "waiting", true],
    [4499, "waiting", false],
    [4500, "waiting", false],
    [4600, "stopped", false],
    [4602, "stopped", false],
    [4699, "stopped", false],
    [1006, "waiting", false],
  ] as const)("close code %i leads to %s, with a new token: %s", async (code, phase, isRenewed) => {
    const bed = await Bed.live10();
    const effects = await bed.go({ input: "disconnected", code });
    expect(bed.session.phase).toBe(phase);
    expect(has(effects, "renew_token")).toBe(isRenewed);
    if (phase === "waiting") {
      const waitMs = (bed.session.nextWakeupMs() ?? 0) - bed.timeMs;
      expect(waitMs, "back-off begins with at most half a second").toBeLessThanOrEqual(500);
      expect(waitMs).toBeGreaterThan(0);
    }
  });

  it("[ERR-1] an unknown class is handled as transient", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    await bed.go({ input: "local_change" });
    await bed.frame(problem("unavailable", { class: "later" as never, retry_ms: 2_000 }));
    expect(bed.session.phase).toBe("live");
    expect(sent(await bed.tick(2_000), "push")).toHaveLength(1);
  });

  it("[VEW-6] whoever is online with something pending has a timer or something in flight", async () => {
    const bed = await Bed.live10();
    await bed.edit(create(1));
    for (const frame of [
      { type: "slow_down", retry_ms: 1_000 },
      { type: "out_of_order", expected: 1 },
      problem("internal"),
      problem("token_expired"),
    ] as const) {
      await bed.go({ input: "local_change" });
      await bed.frame(frame);
      expect(bed.session.nextWakeupMs(), JSON.stringify(frame)).toBeDefined();
    }
  });
});
