import { expect, expectTypeOf, it } from "vitest";
import { type Contact, type CrmEntities, crmSchema, type LeadUpdate } from "../../src/crm/index.ts";
import type { EntityApi, RecordOf } from "../../src/index.ts";
import { readSchema } from "../../src/schema/schema.ts";

it("the default schema reads, with every strategy and type known", () => {
  const schema = readSchema(crmSchema);
  expect(schema.entities.size).toBe(27);
  expect(schema.entities.get("contacts")?.fields.get("city")?.group.fields).toContain("zip");
  expect(schema.entities.get("settings")?.naturalKey).toEqual(["scope", "user_id", "key"]);
  expect(schema.entities.get("leads")?.fields.get("contact_id")).toMatchObject({
    references: "contacts",
    isIndexed: true,
  });
});

it("the compiler checks names and values", () => {
  type Leads = EntityApi<CrmEntities["leads"]>;
  expectTypeOf<Parameters<Leads["update"]>[1]>().toEqualTypeOf<LeadUpdate>();
  expectTypeOf<RecordOf<CrmEntities["contacts"]>["fields"]>().toEqualTypeOf<Contact>();
  expectTypeOf<LeadUpdate["priority"]>().toEqualTypeOf<"low" | "medium" | "high" | "urgent" | null | undefined>();
  // What the server alone writes, what never changes and what does not exist cannot be named.
  expectTypeOf<LeadUpdate>().not.toHaveProperty("lead_score");
  expectTypeOf<LeadUpdate>().not.toHaveProperty("utm_source");
  expectTypeOf<CrmEntities["leads"]["create"]>().toHaveProperty("utm_source");
  expectTypeOf<CrmEntities["leads"]["create"]["contact_id"]>().toEqualTypeOf<string>();
  expectTypeOf<CrmEntities["lead_activities"]["update"]>().toEqualTypeOf<Record<string, never>>();
  const misuse = (leads: Leads): unknown[] => [
    // @ts-expect-error a value that is not among the choices
    leads.update("id", { priority: "extreme" }),
    // @ts-expect-error a field that does not exist
    leads.update("id", { prioritty: "high" }),
    // @ts-expect-error a lead needs its contact
    leads.create({ priority: "high" }),
    // @ts-expect-error a required field cannot be cleared
    leads.update("id", { contact_id: null }),
    // @ts-expect-error a set is asked for an item
    leads.select({ where: { tags: ["a"] } }),
    leads.select({ where: { tags: "a", priority: null }, sort: "expected_close_date" }),
  ];
  expect(misuse).toBeTypeOf("function");
  const create = (conflicts: EntityApi<CrmEntities["conflicts"]>): unknown =>
    // @ts-expect-error only the server makes conflicts
    conflicts.create({});
  expect(create).toBeTypeOf("function");
});
