/** Whose a capture is that waits. */

import { expect, it } from "vitest";
import { type IntakeRow, isOf } from "../../src/intake/intake.ts";

const row = (about: Partial<IntakeRow>): IntakeRow => ({
  save: { id: "s", contact: {}, lead: {}, sources: {}, pageTitle: "" },
  contactId: "c",
  leadId: "l",
  activityId: "a",
  atMs: 1,
  ...about,
});
const [HERE, THERE] = ["https://here.example", "https://there.example"];

it.each([
  ["nobody's, for no server yet, is of the next one who signs in", {}, { server: HERE, userId: "dana" }, true],
  ["of one person", { server: HERE, userId: "dana" }, { server: HERE, userId: "dana" }, true],
  ["not of the next person", { server: HERE, userId: "dana" }, { server: HERE, userId: "milo" }, false],
  ["not of nobody", { server: HERE, userId: "dana" }, { server: HERE }, false],
  ["not for another server", { server: HERE, userId: "dana" }, { server: THERE, userId: "dana" }, false],
  ["nobody's, but for another server", { server: HERE }, { server: THERE, userId: "dana" }, false],
] as const)("[EXT-1] a capture that waits: %s", (_, about, owner, expected) => {
  expect(isOf(row(about), owner)).toBe(expected);
});
