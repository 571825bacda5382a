/** Early warnings and previews: what the server would say. */

import { expect, it } from "vitest";
import { crm, crmSchema } from "../../src/crm/index.ts";
import type { Fields } from "../../src/json.ts";
import { previewOf, type Wanted, warningsOf } from "../../src/merge/foresee.ts";
import { type Entity, readSchema } from "../../src/schema/schema.ts";

const schema = readSchema(crm.schema, crm.formats);
const entityOf = (name: string): Entity => schema.entities.get(name) as Entity;
const codes = (wanted: Wanted): string[] => warningsOf(wanted).map(({ code, field }) => `${code} ${field}`);

it("[RUL-1] a missing or unfit value is warned of", () => {
  const leads = entityOf("leads");
  expect(codes({ entity: leads, fields: {} })).toEqual(["validation contact_id"]);
  expect(codes({ entity: leads, before: {}, fields: { priority: "extreme" } })).toEqual(["validation priority"]);
  expect(codes({ entity: entityOf("contacts"), fields: { email: "nobody" } })).toEqual(["validation email"]);
  expect(codes({ entity: entityOf("contacts"), fields: { email: "a@b.example" } })).toEqual([]);
});

it.each([
  ["unqualified", "in_process", []],
  ["unqualified", "sales_qualified", ["rule qualification_status"]],
  ["sales_qualified", "unqualified", ["rule qualification_status"]],
  ["in_process", "in_process", []],
])("[MRG-11] a lead from %s to %s: %j", (from, to, expected) => {
  const wanted = {
    entity: entityOf("leads"),
    before: { qualification_status: from },
    fields: { qualification_status: to },
  };
  expect(codes(wanted)).toEqual(expected);
});

it("[RUL-3] a value another live record has is warned of, in any case, and one's own is not", () => {
  const unique = crmSchema.entities.companies?.unique ?? [];
  expect(unique.map(({ name }) => name)).toEqual(["domain"]);
  const others = (): Fields[] => [{ name: "Other", domain: "taken.example" }, { name: "None" }];
  const about = { entity: entityOf("companies"), unique, others };
  expect(codes({ ...about, fields: { name: "N", domain: "TAKEN.example" } })).toEqual(["unique domain"]);
  expect(codes({ ...about, fields: { name: "N", domain: "free.example" } })).toEqual([]);
  expect(codes({ ...about, fields: { name: "N" } })).toEqual([]);
  const before = { name: "N", domain: "taken.example" };
  expect(codes({ ...about, before, fields: { name: "M" } }), "nothing of it changes").toEqual([]);
  expect(codes({ ...about, before: { name: "N" }, fields: { domain: "taken.example" } })).toEqual(["unique domain"]);
});

it("[CNF-2] mine, theirs and something else, as the record would be", () => {
  const entity = entityOf("contacts");
  const conflict = { mine: { estimated_value: "150.00" }, theirs: { estimated_value: "120.00" } };
  const live = { estimated_value: "120.00", city: "Leith", tags: ["a"] };
  expect(previewOf({ entity, conflict, live, resolution: "use_mine" })).toEqual({
    ok: true,
    value: {
      becomes: "changed",
      fields: { ...live, estimated_value: "150.00" },
      changes: [{ field: "estimated_value", before: "120.00", after: "150.00" }],
    },
  });
  expect(previewOf({ entity, conflict, live, resolution: "use_theirs" })).toMatchObject({
    value: { becomes: "unchanged" },
  });
  const custom = { estimated_value: "135", tags: { add: ["b"] }, city: null };
  expect(previewOf({ entity, conflict, live, resolution: "custom", custom })).toMatchObject({
    value: { becomes: "changed", fields: { estimated_value: "135.00", tags: ["a", "b"] } },
  });
  expect(
    previewOf({ entity, conflict, live, resolution: "custom", custom: { estimated_value: "much" } }),
  ).toMatchObject({
    ok: false,
    error: { field: "estimated_value" },
  });
});

it("[MRG-12] a deletion against an edit: the record comes back, goes, or stays gone", () => {
  const entity = entityOf("contacts");
  const conflict = { mine: { city: "Leith" }, theirs: null };
  expect(previewOf({ entity, conflict, resolution: "use_mine" })).toMatchObject({
    value: { becomes: "restored", fields: { city: "Leith" } },
  });
  expect(previewOf({ entity, conflict, resolution: "use_theirs" })).toEqual({
    ok: true,
    value: { becomes: "deleted" },
  });
});

it("[CNF-2] a resolution obeys transitions like any edit", () => {
  const entity = entityOf("leads");
  const conflict = {
    mine: { qualification_status: "unqualified" },
    theirs: { qualification_status: "sales_qualified" },
  };
  const live = { qualification_status: "sales_qualified" };
  expect(previewOf({ entity, conflict, live, resolution: "use_mine" })).toMatchObject({
    ok: false,
    error: { field: "qualification_status" },
  });
});
