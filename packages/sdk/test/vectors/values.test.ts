import { expect, it } from "vitest";
import { type Fields, type Json, jsonEquals, member } from "../../src/json.ts";
import { canonicalCreate, canonicalUpdate } from "../../src/schema/canonical.ts";
import type { FieldDeclaration } from "../../src/schema/declaration.ts";
import { formats } from "../../src/schema/formats.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { vectors } from "./vectors.ts";

interface ValueCase {
  name: string;
  type: FieldDeclaration;
  patch?: boolean;
  input: Json;
  canonical?: Json;
  error?: boolean;
}

const cases = vectors<ValueCase[]>("values");

it("the file has the cases it is known to have", () => {
  expect(cases.length).toBeGreaterThan(250);
});

it.each(cases)("[VAL-1] $name", (about) => {
  const schema = readSchema({ version: 1, roles: {}, entities: { e: { fields: { f: about.type } } } }, formats);
  const entity = schema.entities.get("e");
  if (entity === undefined) {
    throw new Error("the schema has the entity it declares");
  }
  const run = (input: Json) => {
    const fields: Fields = { f: input };
    return about.patch ? canonicalUpdate(entity, fields) : canonicalCreate(entity, fields);
  };
  const answer = run(about.input);
  expect(answer.ok, answer.ok ? JSON.stringify(answer.value) : answer.error.message).toBe(about.error !== true);
  if (answer.ok) {
    const value = member(answer.value, "f");
    expect(value).toEqual(about.canonical ?? null);
    const again = run(value);
    expect(again.ok && jsonEquals(member(again.value, "f"), value), "a canonical value stays").toBe(true);
  }
});
