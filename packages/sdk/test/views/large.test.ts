/** What 100,000 records cost. The bounds are far above what is measured; the figures are printed. */

import { expect, it } from "vitest";
import { crmSchema } from "../../src/crm/index.ts";
import { applyLive } from "../../src/replica/batches.ts";
import { Replica } from "../../src/replica/replica.ts";
import type { BaseRecord } from "../../src/replica/store.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { MemoryStore } from "../../src/storage/memory.ts";
import { Views } from "../../src/views/views.ts";

const COUNT = 100_000;
const PRIORITIES = ["low", "medium", "high", "urgent"];

function lead(index: number): BaseRecord {
  const id = `00000000-0000-7000-8000-${index.toString(16).padStart(12, "0")}`;
  const fields = {
    contact_id: id,
    product_interest: `product ${index % 1_000}`,
    priority: PRIORITIES[index % 4] ?? "low",
    owner_id: `00000000-0000-7000-8000-${(index % 500).toString(16).padStart(12, "0")}`,
    expected_close_date: `2026-${String(1 + (index % 12)).padStart(2, "0")}-01`,
    estimated_value: `${(index * 7919) % 100_000}.00`,
  };
  return { entity: "leads", id, rv: 1, scope: "workspace", fields };
}

it("live queries stay fast at 100,000 records", async () => {
  const schema = readSchema(crmSchema);
  const identity = { workspaceId: "acme", userId: lead(1).id, deviceId: lead(2).id, clientId: lead(3).id };
  const replica = await Replica.create(new MemoryStore(), schema, identity);
  await replica.store.write({ basePut: Array.from({ length: COUNT }, (_, index) => lead(index)) });
  const views = new Views(replica);
  replica.onTouched((touched) => views.touched(touched));
  const figures: Record<string, number> = {};
  const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const startMs = performance.now();
    const done = await work();
    figures[what] = Math.round((performance.now() - startMs) * 100) / 100;
    return done;
  };

  await timed("first question, ms", () => views.select("leads", { where: { owner_id: lead(7).id } }));
  const owned = await timed("indexed question of 200 rows, ms", () =>
    views.select("leads", { where: { owner_id: lead(8).id }, sort: "estimated_value" }),
  );
  expect(owned).toHaveLength(200);
  let opened = Promise.resolve();
  const all = views.live("leads", { sort: "estimated_value", isDescending: true, limit: 50 }, (work) => {
    opened = work();
  });
  all.subscribe(() => undefined);
  await timed("opening a live query sorted over all, ms", () => opened);
  expect(all.snapshot().rows).toHaveLength(50);

  const rounds = 200;
  await timed(`${rounds} live batches, ms`, async () => {
    for (let round = 1; round <= rounds; round++) {
      const op = {
        op: "patch",
        entity: "leads",
        id: lead(round).id,
        rv: round + 1,
        fields: { estimated_value: `${100_000 + round}.00` },
      } as const;
      await applyLive(replica, { type: "batch", from: round - 1, to: round, changes: [{ ops: [op] }] }, 0);
    }
  });
  expect(all.snapshot().rows[0]?.id).toBe(lead(rounds).id);
  console.log(JSON.stringify(figures));
  // In terms of one another, because machines differ: an index is not a walk, and a batch does not sort anew.
  const [walk, sort] = [figures["first question, ms"] ?? 0, figures["opening a live query sorted over all, ms"] ?? 0];
  expect(figures["indexed question of 200 rows, ms"]).toBeLessThan(walk / 4);
  expect((figures[`${rounds} live batches, ms`] ?? 0) / rounds).toBeLessThan(sort / 2);
}, 120_000);
