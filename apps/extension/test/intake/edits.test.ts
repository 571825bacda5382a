/** What a capture does to the records: inserts and single fields, never a whole record. */

import { expect, it } from "vitest";
import { editsOf } from "../../src/intake/edits.ts";
import type { IntakeRow } from "../../src/intake/intake.ts";

const ROW: IntakeRow = {
  save: {
    id: "m",
    contact: { email: "a@b.example", city: "Leith" },
    lead: { captured_url: "https://b.example/" },
    sources: { email: "link" },
    pageTitle: "B",
  },
  contactId: "c",
  leadId: "l",
  activityId: "a",
  atMs: 0,
};

it("[EXT-1] a new contact, its lead, and where they come from, in one mutation", () => {
  const edits = editsOf(ROW, { userId: "u", companyId: "k" });
  expect(edits.map((edit) => edit.edit)).toEqual(["create", "create", "create"]);
  expect(edits[0]).toMatchObject({ id: "c", fields: { email: "a@b.example", company_id: "k", assigned_to: "u" } });
  expect(edits[1]).toMatchObject({ id: "l", fields: { contact_id: "c", company_id: "k", owner_id: "u" } });
  expect(edits[2]).toMatchObject({
    id: "a",
    fields: { lead_id: "l", activity_type: "capture", idempotency_key: "capture m" },
  });
});

it("[EXT-1] a contact that is there gets what it lacks, and nothing is written over", () => {
  const existing = { entity: "contacts", id: "x", rv: 3, fields: { email: "old@b.example" }, state: "synced" } as const;
  const [update, lead] = editsOf(ROW, { userId: "u", existing });
  expect(update).toEqual({ edit: "update", entity: "contacts", id: "x", fields: { city: "Leith" } });
  expect(lead).toMatchObject({ entity: "leads", fields: { contact_id: "x" } });
  const whole = { ...existing, fields: { email: "o", city: "c" } };
  expect(editsOf(ROW, { userId: "u", existing: whole }).map((edit) => edit.edit)).toEqual(["create", "create"]);
});
