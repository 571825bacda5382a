import { describe, expect, it } from "vitest";
import type { Row } from "../src/data/live.ts";
import { decisionOf, outcomeOf, sidesOf } from "../src/features/conflicts/sides.ts";
import { inOrder, isIn, type View } from "../src/features/conflicts/work.ts";

const conflict = (fields: object, id = "c"): Row<"conflicts"> => ({
  id,
  rv: 1,
  state: "synced",
  fields: { entity: "opportunities", ...fields } as Row<"conflicts">["fields"],
});

describe("[CONF-4] deciding field by field, a field group at a time", () => {
  const sides = sidesOf(
    conflict({
      fields: ["amount", "currency", "name"],
      base: { amount: "1.00", currency: "EUR", name: "Deal" },
      mine: { amount: "3.00", currency: "USD", name: "Our deal" },
      theirs: { amount: "2.00", name: "The deal" },
      result: { amount: "2.00" },
    }),
  );
  const [money, name] = sides.units.map(({ key }) => key);
  it("what belongs together is one choice", () => {
    expect(sides.units.map(({ names }) => names)).toEqual([["amount", "currency"], ["name"]]);
  });
  it.each([
    [{}, {}, { resolution: "use_theirs", fields: {} }],
    [{ [`${money}`]: "mine", [`${name}`]: "mine" }, {}, { resolution: "use_mine", fields: {} }],
    [
      { [`${money}`]: "mine" },
      {},
      { resolution: "custom", fields: { amount: "3.00", currency: "USD", name: "The deal" } },
    ],
    // The other side did not touch the currency: it is as both started from, never nothing.
    [
      { [`${name}`]: "mine" },
      {},
      { resolution: "custom", fields: { amount: "2.00", currency: "EUR", name: "Our deal" } },
    ],
    [
      { [`${money}`]: "custom" },
      { amount: "2.50" },
      { resolution: "custom", fields: { amount: "2.50", currency: "EUR", name: "The deal" } },
    ],
    [
      { [`${money}`]: "custom" },
      { amount: null },
      { resolution: "custom", fields: { amount: null, currency: "EUR", name: "The deal" } },
    ],
  ] as const)("%o, written %o", (picks, written, expected) => {
    expect(decisionOf(sides, picks, written)).toEqual(expected);
  });
  it("the preview is what the decision writes", () => {
    expect(outcomeOf(sides, decisionOf(sides, {}))).toEqual({ amount: "2.00", currency: "EUR", name: "The deal" });
    expect(outcomeOf(sides, decisionOf(sides, { [`${name}`]: "mine" }))).toEqual({
      amount: "2.00",
      currency: "EUR",
      name: "Our deal",
    });
  });
  it("a deletion is a side, and choosing it deletes", () => {
    const deleted = sidesOf(
      conflict({ entity: "contacts", kind: "delete_edit", fields: ["city"], mine: { city: "Oslo" } }),
    );
    expect(deleted.theirs).toEqual({ did: "deleted" });
    expect(outcomeOf(deleted, { resolution: "use_theirs", fields: {} })).toBeUndefined();
    expect(outcomeOf(deleted, { resolution: "use_mine", fields: {} })).toEqual({ city: "Oslo" });
  });
});

describe("[CONF-4] whose conflict it is, and when it is late", () => {
  const NOW = Date.parse("2026-11-28T12:00:00Z");
  const cases: readonly [what: string, fields: object, views: readonly View[]][] = [
    ["somebody else's", { state: "open", mine_user: "x", theirs_user: "y" }, ["open"]],
    ["one side is mine", { state: "open", mine_user: "x", theirs_user: "me" }, ["open", "mine"]],
    ["one side is mine, another was asked", { state: "open", mine_user: "me", assigned_to: "x" }, ["open"]],
    ["I was asked", { state: "open", mine_user: "x", assigned_to: "me" }, ["open", "mine"]],
    ["late", { state: "open", mine_user: "x", due_at: "2026-11-28T11:59:00Z" }, ["open", "overdue"]],
    ["not late yet", { state: "open", mine_user: "x", due_at: "2026-11-28T12:01:00Z" }, ["open"]],
    ["decided late", { state: "resolved", mine_user: "me", due_at: "2026-11-27T12:00:00Z" }, ["decided"]],
  ];
  it.each(cases)("%s", (_, fields, views) => {
    const all = ["open", "mine", "overdue", "decided"] as const;
    expect(all.filter((view) => isIn(view, conflict(fields), "me", NOW))).toEqual(views);
  });
  it("what is due first comes first, then the newest", () => {
    const rows = [
      conflict({ state: "open", created_at: "2026-11-01T00:00:00Z" }, "old"),
      conflict({ state: "open", created_at: "2026-11-02T00:00:00Z" }, "new"),
      conflict({ state: "open", created_at: "2026-11-01T00:00:00Z", due_at: "2026-12-02T00:00:00Z" }, "later"),
      conflict({ state: "open", created_at: "2026-11-01T00:00:00Z", due_at: "2026-12-01T00:00:00Z" }, "sooner"),
    ];
    expect(inOrder(rows).map(({ id }) => id)).toEqual(["sooner", "later", "new", "old"]);
  });
});
