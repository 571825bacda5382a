import { expect, it } from "vitest";
import { whoErrors } from "../src/features/contacts/who.ts";

it.each([
  [{}, false],
  [{ city: "Oslo", assigned_to: "0198c0de-0000-7000-8000-0000000000ff" }, false],
  [{ lastname: "Berg" }, true],
  [{ phone_number: "+47 22 33 44 55" }, true],
] as const)("a new contact says who it is: %o", (person, isKnown) => {
  expect(Object.keys(whoErrors(person))).toEqual(isKnown ? [] : ["firstname"]);
});
