import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { Fields } from "../../src/json.ts";
import type { Viewed } from "../../src/replica/view.ts";
import type { LiveQuery } from "../../src/views/live.ts";
import { matches, orderOf, type Query } from "../../src/views/query.ts";
import { Views } from "../../src/views/views.ts";
import { Bed, batch, create, id, outcome, patch, put, SCHEMA, team, update, WORKSPACE } from "../session/bed.ts";

async function bedWithViews(): Promise<{ bed: Bed; views: Views }> {
  const bed = await Bed.live10();
  const views = new Views(bed.replica);
  bed.replica.onTouched((touched) => views.touched(touched));
  return { bed, views };
}

/** Opens a live query and waits for its first answer. */
async function open(views: Views, query: Query): Promise<{ live: LiveQuery; listener: () => void; stop: () => void }> {
  let opened: Promise<void> | undefined;
  const live = views.live("things", query, (work) => {
    opened = work();
  });
  const listener = vi.fn();
  const stop = live.subscribe(listener);
  await opened;
  return { live, listener, stop };
}

function names(rows: readonly Viewed[]): unknown[] {
  return rows.map(({ fields }) => fields.name);
}

describe("a live query", () => {
  it("loads, follows base and outbox, and stops", async () => {
    const { bed, views } = await bedWithViews();
    await bed.frame(batch(10, 11, [put(1, 11, WORKSPACE, { name: "b" }), put(2, 11, WORKSPACE, { name: "a" })]));
    const query = views.live("things", { sort: "name" }, () => undefined);
    expect(query.snapshot()).toEqual({ state: "loading", rows: [] });

    const { live, listener, stop } = await open(views, { sort: "name" });
    expect(names(live.snapshot().rows)).toEqual(["a", "b"]);
    await bed.edit(create(3, { name: "ab" }));
    expect(names(live.snapshot().rows)).toEqual(["a", "ab", "b"]);
    await bed.outcomes(outcome(1, "rejected", 11));
    expect(names(live.snapshot().rows)).toEqual(["a", "b"]);
    await bed.frame(batch(11, 12, [patch(2, 12, { name: "c" })]));
    expect(names(live.snapshot().rows)).toEqual(["b", "c"]);
    await bed.frame({ type: "grant", scope: WORKSPACE, action: "remove", reason: "" });
    expect(live.snapshot()).toEqual({ state: "ready", rows: [] });
    const calls = vi.mocked(listener).mock.calls.length;
    expect(calls).toBe(5);
    stop();
    await bed.edit(create(4, { name: "z" }));
    expect(vi.mocked(listener).mock.calls).toHaveLength(calls);
    expect(live.snapshot().state).toBe("loading");
  });

  it("is told of much at a time while a scope is downloaded, of the first rows and of edits at once, and in the end of all", async () => {
    const bed = await Bed.make();
    const views = new Views(bed.replica);
    bed.replica.onTouched((touched) => views.touched(touched));
    const snapshot = { how: "snapshot", url: "/s", seq: 10, count: 400 } as const;
    await bed.live(10, [[team(1), snapshot]]);
    const { live, listener } = await open(views, {});
    const told = (): number => vi.mocked(listener).mock.calls.length;
    const page = (from: number) => Array.from({ length: 10 }, (_, index) => put(from + index, 5, team(1)));
    const load = (from: number) => bed.go({ input: "snapshot_rows", scope: team(1), rows: page(from) });
    const before = told();
    await load(0);
    expect(live.snapshot().rows).toHaveLength(10);
    for (let from = 10; from < 390; from += 10) {
      await load(from);
    }
    expect(told() - before).toBeLessThan(25);
    expect(live.snapshot().rows.length).toBeGreaterThan(300);
    await bed.edit(create(1_000, { name: "mine" }));
    expect(live.snapshot().rows, "an edit shows everything").toHaveLength(391);
    await load(390);
    const newer = [put(395, 6, team(1), { name: "newer" })];
    await bed.go({ input: "snapshot_rows", scope: team(1), rows: newer });
    expect(live.snapshot().rows).toHaveLength(391);
    await views.hide(false);
    expect(live.snapshot().rows, "so does whatever happens to the session").toHaveLength(401);
    await load(400);
    await bed.go({ input: "snapshot_end", scope: team(1), seq: 10 });
    expect(live.snapshot().rows, "and the end").toHaveLength(411);
    expect(new Set(live.snapshot().rows.map((row) => row.id)).size).toBe(411);
    expect(live.snapshot().rows.find((row) => row.id === id(395))?.fields.name).toBe("newer");
  });

  it("keeps its snapshot while nothing it shows has changed", async () => {
    const { bed, views } = await bedWithViews();
    await bed.frame(
      batch(
        10,
        11,
        [1, 2, 3].map((number) => put(number, 11, WORKSPACE, { name: `n${number}` })),
      ),
    );
    const { live, listener } = await open(views, { where: { name: "n1" } });
    const { live: first } = await open(views, { sort: "name", limit: 1 });
    const [before, shown] = [live.snapshot(), first.snapshot()];
    await bed.edit(update(2, { note: "x" }));
    expect(live.snapshot(), "another record").toBe(before);
    expect(first.snapshot(), "beyond the limit").toBe(shown);
    expect(listener).toHaveBeenCalledTimes(1);
    await bed.edit(update(1, { note: "x" }));
    expect(live.snapshot()).not.toBe(before);
    expect(before.rows[0]?.fields, "what was shown stays as it was").toEqual({ name: "n1" });
  });

  it("shows the next one when one of the first leaves", async () => {
    const { bed, views } = await bedWithViews();
    await bed.frame(
      batch(
        10,
        11,
        [1, 2, 3].map((number) => put(number, 11, WORKSPACE, { name: `n${number}` })),
      ),
    );
    const { live } = await open(views, { sort: "name", limit: 2, isDescending: true });
    expect(names(live.snapshot().rows)).toEqual(["n3", "n2"]);
    await bed.edit({ edit: "delete", entity: "things", id: id(3) });
    expect(names(live.snapshot().rows)).toEqual(["n2", "n1"]);
  });
});

describe("queries", () => {
  it("[VEW-1] orders decimals by number, and no value first", async () => {
    const { bed, views } = await bedWithViews();
    for (const [number, price] of [
      [1, "9.00"],
      [2, "10.00"],
      [3, "-1.00"],
    ] as const) {
      await bed.edit(create(number, { price }));
    }
    await bed.edit(create(4, {}));
    const rows = await views.select("things", { sort: "price" });
    expect(rows.map((row) => row.id)).toEqual([id(4), id(3), id(1), id(2)]);
  });

  it("an equality on a set asks for an item, one on null for no value", async () => {
    const { bed, views } = await bedWithViews();
    await bed.edit(create(1, { tags: ["a", "b"] }), create(2, { tags: ["b"], name: "x" }), create(3, {}));
    const idsOf = async (query: Query) => (await views.select("things", query)).map((row) => row.id);
    expect(await idsOf({ where: { tags: "b" } })).toEqual([id(1), id(2)]);
    expect(await idsOf({ where: { tags: "b", name: null } })).toEqual([id(1)]);
    expect(await idsOf({ where: { tags: "b", name: "x" } })).toEqual([id(2)]);
    expect(await idsOf({ where: { tags: null } })).toEqual([id(3)]);
    expect(await idsOf({ filter: (record) => record.fields.name === "x" })).toEqual([id(2)]);
    expect(await idsOf({ where: { name: "nobody" } })).toEqual([]);
  });
});

const fields: fc.Arbitrary<Fields> = fc.record(
  {
    name: fc.constantFrom("a", "b", "c", null),
    price: fc.constantFrom("1.00", "10.00", "9.00", null),
    tags: fc.constantFrom(["x"], ["x", "y"], ["y"], null),
  },
  { requiredKeys: [] },
);
const queries: fc.Arbitrary<Query> = fc.record(
  {
    where: fc.constantFrom({ name: "a" }, { tags: "x" }, { name: null }, { name: "b", tags: "y" }, {}),
    sort: fc.constantFrom("name", "price"),
    isDescending: fc.boolean(),
    limit: fc.constantFrom(1, 3, 100),
  },
  { requiredKeys: [] },
);
const change = fc.record({
  number: fc.integer({ min: 1, max: 8 }),
  kind: fc.constantFrom("put", "edit", "del", "undo"),
  fields,
});

it("whatever happens, a live query shows what asking anew shows", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 30 }), queries, async (changes, query) => {
      const { bed, views } = await bedWithViews();
      const { live } = await open(views, query);
      for (const { number, kind, fields: values } of changes) {
        const { cursor, decidedUpto } = bed.replica.meta;
        const [pending] = await bed.replica.store.outbox(decidedUpto + 1, 1);
        if (kind === "put") {
          await bed.frame(batch(cursor, cursor + 1, [put(number, cursor + 1, WORKSPACE, values)]));
        } else if (kind === "del") {
          await bed.frame(batch(cursor, cursor + 1, [{ op: "del", entity: "things", id: id(number), rv: cursor + 1 }]));
        } else if (kind === "undo" && pending !== undefined) {
          await bed.outcomes(outcome(pending.mutation.client_seq, "rejected", cursor));
        } else {
          await bed.edit((await bed.view(number)) === undefined ? create(number, values) : update(number, values));
        }
        const all = await Promise.all(Array.from({ length: 8 }, (_, index) => bed.view(index + 1)));
        const wanted = all
          .filter((row) => row !== undefined && matches(query, row))
          .sort((a, b) => (a && b ? orderOf(SCHEMA.entities.get("things"), query)(a, b) : 0));
        expect(live.snapshot().rows).toEqual(wanted.slice(0, query.limit));
        expect(await views.select("things", query)).toEqual(wanted.slice(0, query.limit));
      }
    }),
    { numRuns: 200 },
  );
});

it("what is hidden is shown to nobody, opened or not, until it is shown again", async () => {
  const { bed, views } = await bedWithViews();
  await bed.edit(create(1, { name: "a" }));
  const { live } = await open(views, {});
  await views.hide(true);
  expect(live.snapshot()).toEqual({ state: "loading", rows: [] });
  const { live: later } = await open(views, {});
  await bed.edit(create(2, { name: "b" }));
  expect([live.snapshot().rows, later.snapshot().rows]).toEqual([[], []]);
  await views.hide(false);
  expect([names(live.snapshot().rows), names(later.snapshot().rows)]).toEqual([
    ["a", "b"],
    ["a", "b"],
  ]);
});
