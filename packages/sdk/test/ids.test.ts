import fc from "fast-check";
import { expect, it } from "vitest";
import { idBytes, idV7, isId, isScopeId, naturalId } from "../src/ids.ts";
import { compareText, jsonEquals, objectOf } from "../src/json.ts";
import { canonicalCreate } from "../src/schema/canonical.ts";
import { readSchema } from "../src/schema/schema.ts";

it("[ID-1] ids are UUIDv7 in lower-case text that sort by time", () => {
  const random = fc.uint8Array({ minLength: 10, maxLength: 10 });
  const time = fc.integer({ min: 0, max: 2 ** 48 - 1 });
  fc.assert(
    fc.property(time, random, time, random, (a, randomA, b, randomB) => {
      const [first, second] = [idV7(a, randomA), idV7(b, randomB)];
      expect(first).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(isId(first)).toBe(true);
      expect(Number.parseInt(first.replaceAll("-", "").slice(0, 12), 16)).toBe(a);
      expect(idBytes(first)).toHaveLength(16);
      if (a !== b) {
        expect(first < second).toBe(a < b);
      }
    }),
  );
  expect(idV7(1_763_712_000_000, new Uint8Array(10).fill(255))).toBe("019aa56d-6000-7fff-bfff-ffffffffffff");
});

it("[ID-3] a natural id follows from workspace, entity and values, as on the server", async () => {
  // uuid5 of Python: uuid.uuid5(NS, "acme\0settings\0workspace\0\0theme").
  expect(await naturalId("acme", "settings", "workspace\u0000\u0000theme")).toBe(
    "41b7963f-4c62-5ab7-bbe5-20b362ed10d5",
  );
  expect(await naturalId("acme", "settings", "größe 😀")).toBe("bb6d8489-1c69-5a92-8f04-2c278445f252");
});

it("[ID-4] scopes are told from other texts", () => {
  const id = "019aa4b0-7c00-7000-8000-0000000000f1";
  for (const scope of ["workspace", `team:${id}`, `owner:${id}`]) {
    expect(isScopeId(scope), scope).toBe(true);
  }
  for (const text of ["", "Workspace", "team:", `group:${id}`, `team:${id.toUpperCase()}`, `team:${id} `]) {
    expect(isScopeId(text), text).toBe(false);
  }
});

it("[VAL-1] texts are ordered by code point, as their UTF-8 bytes are", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "\u00e9", "\uffee", "\u{1f600}", "\u{10ffff}", "\ue000") });
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(Math.sign(compareText(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
    }),
  );
});

it("names such as __proto__ and constructor are names like others", () => {
  const hostile = JSON.parse('{"__proto__":1,"constructor":2}');
  expect(jsonEquals(objectOf(Object.entries(hostile)), hostile)).toBe(true);
  expect(jsonEquals({}, { constructor: 1 })).toBe(false);
  const schema = readSchema({ version: 1, roles: {}, entities: { e: { fields: { j: { type: "json" } } } } });
  const entity = schema.entities.get("e");
  expect(entity && canonicalCreate(entity, { j: hostile })).toEqual({ ok: true, value: { j: hostile } });
  expect(entity && canonicalCreate(entity, JSON.parse('{"__proto__":1}'))).toMatchObject({ ok: false });
  expect(entity && canonicalCreate(entity, { toString: 1 } as never)).toMatchObject({ ok: false });
});

it("[VAL-1] what no frame can carry is refused before it is stored", () => {
  const fields = { t: { type: "text" }, j: { type: "json" }, s: { type: "set", items: "text" } };
  const entity = readSchema({ version: 1, roles: {}, entities: { e: { fields } } }).entities.get("e");
  const lone = "a\ud800";
  for (const bad of [
    { t: lone },
    { j: { a: [lone] } },
    { j: { [lone]: 1 } },
    { s: [lone] },
    { j: Number.NaN },
    { j: [1n] },
  ]) {
    expect(entity && canonicalCreate(entity, bad as never), Object.keys(bad)[0]).toMatchObject({ ok: false });
  }
});
