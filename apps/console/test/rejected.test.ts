import { describe, expect, it } from "vitest";
import { offeredFields } from "../src/features/rejected/offered.ts";

describe("fields of a rejected change that are offered before it is sent again", () => {
  it("are all that can be edited when the server names none, its own first", () => {
    const reason = "Say why the deal was lost: choose a reason or write a note.";
    const { own, others } = offeredFields("opportunities", ["stage_id", "probability"], reason, "update");
    expect(own).toEqual(["stage_id", "probability"]);
    expect(others).toEqual(expect.arrayContaining(["lost_reason_id", "lost_notes", "amount"]));
    // Its own, those of the server alone, and what a record keeps for ever.
    for (const name of ["stage_id", "status", "closed_at", "source"]) {
      expect(others).not.toContain(name);
    }
  });

  it.each([
    ["amount: must be a number", ["amount"]],
    ["opportunities.name cannot be so", ["name"]],
    ["give both lost_reason_id and lost_notes", ["lost_reason_id", "lost_notes"]],
  ])("are those that the server names: %s", (reason, others) => {
    expect(offeredFields("opportunities", ["stage_id"], reason, "update").others).toEqual(others);
  });

  it("are its own alone when it names those, or what cannot be changed", () => {
    expect(offeredFields("opportunities", ["amount"], "amount: must be a number", "update").others).toEqual([]);
    expect(offeredFields("opportunities", ["amount"], "opportunities.source cannot change", "update").others).toEqual(
      [],
    );
  });

  it("are those of a new record when it is one", () => {
    expect(offeredFields("opportunities", ["name"], "That is not enough.", "create").others).toContain("source");
  });

  it("are none that cannot be typed", () => {
    const { others } = offeredFields("tasks", ["title"], "A task is about something.", "create");
    expect(others).toContain("due_at");
    expect(others).not.toContain("subject_id");
  });
});
