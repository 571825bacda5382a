/** What a saved capture does to the records: inserts, and fields of a contact that had no value. Never a whole record. */

import type { Edit, Fields, Viewed } from "@syncline/sdk";
import { LEAD_SOURCE } from "../capture/capture.ts";
import type { IntakeRow } from "./intake.ts";

/** What is known when the row becomes records. */
export interface Surroundings {
  /** Who captured it, and owns it until somebody says otherwise. */
  readonly userId: string;
  /** A company of the website's domain. */
  readonly companyId?: string;
  /** The contact the lead is added to, as it is now. */
  readonly existing?: Viewed;
}

/** One mutation: contact, lead, and the note of where they come from. */
export function editsOf(row: IntakeRow, { userId, companyId, existing }: Surroundings): Edit[] {
  const { save } = row;
  const company: Fields = companyId === undefined ? {} : { company_id: companyId };
  const contactId = existing?.id ?? row.contactId;
  return [
    ...contactEdits(row, { ...save.contact, ...company }, userId, existing),
    {
      edit: "create",
      entity: "leads",
      id: row.leadId,
      fields: { contact_id: contactId, lead_source: LEAD_SOURCE, owner_id: userId, ...save.lead, ...company },
    },
    {
      edit: "create",
      entity: "lead_activities",
      id: row.activityId,
      fields: {
        lead_id: row.leadId,
        activity_type: "capture",
        activity_data: {
          url: save.lead.captured_url ?? null,
          page_title: save.pageTitle,
          sources: { ...save.sources },
        },
        idempotency_key: `capture ${save.id}`,
      },
    },
  ];
}

function contactEdits(row: IntakeRow, fields: Fields, userId: string, existing: Viewed | undefined): Edit[] {
  if (existing === undefined) {
    const created = { ...fields, lead_source: LEAD_SOURCE, assigned_to: userId };
    return [{ edit: "create", entity: "contacts", id: row.contactId, fields: created }];
  }
  const missing = Object.entries(fields).filter(([name]) => (existing.fields[name] ?? null) === null);
  return missing.length === 0
    ? []
    : [{ edit: "update", entity: "contacts", id: existing.id, fields: Object.fromEntries(missing) }];
}
