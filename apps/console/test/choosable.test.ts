import { expect, it } from "vitest";
import { isChoosable } from "../src/features/record/choosable.ts";

it.each([
  { why: "a status of leads", entity: "leads", field: "status_option_id", record: { category: "lead" }, is: true },
  {
    why: "a status of deals",
    entity: "leads",
    field: "status_option_id",
    record: { category: "opportunity" },
    is: false,
  },
  {
    why: "a status of leads is no reason for a loss",
    entity: "leads",
    field: "lost_reason_id",
    record: { category: "lead", type: "ongoing" },
    is: false,
  },
  {
    why: "a status that means a loss is",
    entity: "leads",
    field: "lost_reason_id",
    record: { category: "lead", type: "lost" },
    is: true,
  },
  {
    why: "why a lead was lost says nothing of deals",
    entity: "opportunities",
    field: "lost_reason_id",
    record: { category: "lead", type: "lost" },
    is: false,
  },
  {
    why: "why deals are lost",
    entity: "opportunities",
    field: "lost_reason_id",
    record: { category: "opportunity", type: "lost" },
    is: true,
  },
  {
    why: "how an appointment ended",
    entity: "contacts",
    field: "appointment_result_id",
    record: { category: "appointment_result" },
    is: true,
  },
  {
    why: "not a status of leads for an appointment",
    entity: "contacts",
    field: "appointment_status_id",
    record: { category: "lead" },
    is: false,
  },
  { why: "somebody", entity: "leads", field: "owner_id", record: { status: "active" }, is: true },
  { why: "somebody who left", entity: "leads", field: "owner_id", record: { status: "deleted" }, is: false },
  { why: "what was put away", entity: "leads", field: "contact_id", record: { is_archived: true }, is: false },
  {
    why: "a status that is not used any more",
    entity: "leads",
    field: "status_option_id",
    record: { category: "lead", is_active: false },
    is: false,
  },
])("$why: $field of $entity", ({ entity, field, record, is }) => {
  expect(isChoosable(entity, field, record)).toBe(is);
});
