import { describe, expect, it } from "vitest";
import type { Row } from "../src/data/live.ts";
import { decisionOf, outcomeOf, sidesOf } from "../src/features/conflicts/sides.ts";

const conflict = (fields: object): Row<"conflicts"> => ({
  id: "c",
  rv: 1,
  state: "synced",
  fields: fields as Row<"conflicts">["fields"],
});

describe("[CONF-4] deciding field by field", () => {
  const sides = sidesOf(
    conflict({
      fields: ["amount", "currency"],
      base: { amount: "1.00" },
      mine: { amount: "3.00", currency: "USD" },
      theirs: { amount: "2.00", currency: null },
      result: { amount: "2.00" },
    }),
  );
  it.each([
    [{}, { resolution: "use_theirs", fields: {} }],
    [
      { amount: "mine", currency: "mine" },
      { resolution: "use_mine", fields: {} },
    ],
    [{ amount: "mine" }, { resolution: "custom", fields: { amount: "3.00", currency: null } }],
  ] as const)("%o", (picks, expected) => {
    expect(decisionOf(sides, picks)).toEqual(expected);
  });
  it("the preview is what the decision writes", () => {
    expect(outcomeOf(sides, decisionOf(sides, { currency: "mine" }))).toEqual({ amount: "2.00", currency: "USD" });
    expect(outcomeOf(sides, decisionOf(sides, {}))).toEqual({ amount: "2.00", currency: null });
  });
  it("a deletion is a side, and choosing it deletes", () => {
    const deleted = sidesOf(conflict({ kind: "delete_edit", fields: ["city"], mine: { city: "Oslo" } }));
    expect(deleted.theirs).toEqual({ did: "deleted" });
    expect(outcomeOf(deleted, { resolution: "use_theirs", fields: {} })).toBeUndefined();
    expect(outcomeOf(deleted, { resolution: "use_mine", fields: {} })).toEqual({ city: "Oslo" });
  });
});
