/** The schema as screens need it: what a field is called, what it holds, and who may change it. */

import { crm } from "@syncline/sdk/crm";
import { type Entity, type Field, readSchema } from "@syncline/sdk/merge";
import { sentence } from "../format/text.ts";
import type { EntityName } from "./live.ts";

const schema = readSchema(crm.schema, crm.formats);

export const ranks: Readonly<Record<string, number>> = crm.schema.roles;

export function entityOf(name: string): Entity {
  const entity = schema.entities.get(name);
  if (entity === undefined) {
    throw new Error(`the schema has no entity ${name}`);
  }
  return entity;
}

export function fieldOf(entity: string, name: string): Field {
  const field = entityOf(entity).fields.get(name);
  if (field === undefined) {
    throw new Error(`${entity} has no field ${name}`);
  }
  return field;
}

/** Whether people, of whatever role, change the field: of a new record (`create`) or of one that is there. See {@link may}. */
export function isEditable(entity: string, field: string, when: "create" | "update"): boolean {
  const declared = crm.schema.entities[entity]?.fields[field];
  return declared !== undefined && declared.server_only !== true && (when === "create" || declared.immutable !== true);
}

export type Deed = "create" | "update" | "delete";

/**
 * Whether somebody of this rank may do it to records of an entity. `field`: whether they may write it, in a record that is created
 * or in one that is there. Rules may refuse more, by what a record holds; whoever may delete may also take that back.
 */
export function may(rank: number, deed: Deed, entity: string, field?: string): boolean {
  const declared = crm.schema.entities[entity];
  const isReached = (role = "server"): boolean => rank >= (ranks[role] ?? Number.POSITIVE_INFINITY);
  if (!isReached(declared?.[deed])) {
    return false;
  }
  if (field === undefined) {
    return true;
  }
  const least = declared?.fields[field]?.min_role;
  return (
    isEditable(entity, field, deed === "create" ? "create" : "update") && (least === undefined || isReached(least))
  );
}

/** Whether somebody of this rank may import: what an import makes is deleted when it is taken back. */
export function mayImport(rank: number): boolean {
  return ["contacts", "leads"].every((entity) => may(rank, "create", entity) && may(rank, "delete", entity));
}

/** The format that a text field is declared with, such as `email`. */
export function formatOf(entity: string, field: string): string | undefined {
  return crm.schema.entities[entity]?.fields[field]?.format;
}

/** States that a field may go to from one, when its transitions are declared. */
export function transitionsFrom(entity: string, field: string, state: string): readonly string[] | undefined {
  const { strategy } = fieldOf(entity, field).group;
  return strategy.name === "state-machine" ? [state, ...(strategy.transitions[state] ?? [])] : undefined;
}

/** Names that a person would use where the field's own, read aloud, is not it. */
const LABELS: Readonly<Record<string, string>> = {
  status_option_id: "Status",
  lead_status_id: "Status",
  contact_id: "Contact",
  company_id: "Company",
  owner_id: "Owner",
  assigned_to: "Assigned to",
  team_id: "Team",
  stage_id: "Stage",
  pipeline_id: "Pipeline",
  lost_reason_id: "Lost reason",
  converted_opportunity_id: "Opportunity",
  lead_id: "Lead",
  st_address: "Street",
  address_2: "Address line 2",
  zip: "Postal code",
  firstname: "First name",
  lastname: "Last name",
  phone_number: "Phone",
  email: "E-mail",
  due_at: "Due",
  expected_close_date: "Closes",
  product_interest: "Interested in",
  lead_source: "Source",
  qualification_status: "Qualification",
  all_day: "All day",
  crm_id: "Id in another system",
  external_id: "Id in another system",
  name: "Name",
  activity_type: "Kind",
  performed_at: "When",
};

/** What a field is called on screens. */
export function labelOf(field: string): string {
  return LABELS[field] ?? sentence(field);
}

const NOUNS: Readonly<Partial<Record<EntityName, readonly [one: string, many: string]>>> = {
  leads: ["lead", "leads"],
  contacts: ["contact", "contacts"],
  companies: ["company", "companies"],
  opportunities: ["opportunity", "opportunities"],
  tasks: ["task", "tasks"],
  lead_activities: ["activity", "activities"],
  conflicts: ["conflict", "conflicts"],
  lead_custom_fields: ["custom field", "custom fields"],
  status_options: ["status", "statuses"],
};

export function nounOf(entity: string, count = 1): string {
  const nouns = NOUNS[entity as EntityName];
  return nouns === undefined ? sentence(entity).toLowerCase() : count === 1 ? nouns[0] : nouns[1];
}
