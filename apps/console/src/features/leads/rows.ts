/** Leads as lists show them: joined with their contact, company, status and owner, filtered and sorted. Pure. */

import type { Row } from "../../data/live.ts";
import { createdMs } from "../../format/value.ts";
import { contactName } from "../record/titles.ts";

export interface LeadRow {
  readonly id: string;
  readonly lead: Row<"leads">;
  readonly contact: Row<"contacts"> | undefined;
  readonly company: Row<"companies"> | undefined;
  readonly status: Row<"status_options"> | undefined;
  readonly owner: Row<"users"> | undefined;
  readonly name: string;
  /** Everything a search looks in, in lower case. */
  readonly haystack: string;
}

/** What leads refer to, by id. */
export interface Around {
  readonly contacts: ReadonlyMap<string, Row<"contacts">>;
  readonly companies: ReadonlyMap<string, Row<"companies">>;
  readonly statuses: ReadonlyMap<string, Row<"status_options">>;
  readonly users: ReadonlyMap<string, Row<"users">>;
}

const joined = new WeakMap<Row<"leads">, LeadRow>();

/** Joins leads with what they refer to. A lead whose records are the same objects as before keeps its row. */
export function joinLeads(leads: readonly Row<"leads">[], around: Around): readonly LeadRow[] {
  return leads.map((lead) => {
    const { contact_id, company_id, status_option_id, owner_id } = lead.fields;
    const contact = around.contacts.get(contact_id ?? "");
    const company = around.companies.get(company_id ?? "");
    const status = around.statuses.get(status_option_id ?? "");
    const owner = around.users.get(owner_id ?? "");
    const held = joined.get(lead);
    if (
      held?.contact === contact &&
      held?.company === company &&
      held?.status === status &&
      held?.owner === owner &&
      held !== undefined
    ) {
      return held;
    }
    const name = contact === undefined ? (lead.fields.product_interest ?? "Unnamed lead") : contactName(contact);
    const { email, phone_number } = contact?.fields ?? {};
    const { product_interest, lead_source, tags } = lead.fields;
    const words = [name, company?.fields.name, email, phone_number, product_interest, lead_source, ...(tags ?? [])];
    const haystack = words
      .filter((word) => word !== undefined)
      .join("\n")
      .toLowerCase();
    const row: LeadRow = { id: lead.id, lead, contact, company, status, owner, name, haystack };
    joined.set(lead, row);
    return row;
  });
}

export type LeadSort = "name" | "company" | "status" | "priority" | "value" | "owner" | "close" | "created";

export interface LeadFilter {
  readonly q: string;
  readonly status: string;
  readonly priority: string;
  readonly temperature: string;
  /** A user, or `none`. */
  readonly owner: string;
}

const PRIORITIES = ["low", "medium", "high", "urgent"];

const KEYS: Readonly<Record<LeadSort, (row: LeadRow) => string | number>> = {
  name: (row) => row.name.toLowerCase(),
  company: (row) => row.company?.fields.name?.toLowerCase() ?? "",
  status: (row) => row.status?.fields.position ?? "",
  priority: ({ lead }) => PRIORITIES.indexOf(lead.fields.priority ?? ""),
  value: ({ lead }) => (lead.fields.estimated_value === undefined ? -1 : Number(lead.fields.estimated_value)),
  owner: (row) => row.owner?.fields.name?.toLowerCase() ?? "",
  close: ({ lead }) => lead.fields.expected_close_date ?? "",
  created: ({ id }) => createdMs(id),
};

/** Leads that match, in order; what has no value to sort by comes last either way. O(n log n) in the matches. */
export function selectLeads(
  rows: readonly LeadRow[],
  filter: LeadFilter,
  sort: LeadSort,
  isDescending: boolean,
): readonly LeadRow[] {
  return orderLeads(matchLeads(rows, filter), sort, isDescending);
}

/** Leads in order. O(n log n): a list that is filtered with every letter is put in order once, before. */
export function orderLeads(rows: readonly LeadRow[], sort: LeadSort, isDescending: boolean): readonly LeadRow[] {
  return sorted(rows, KEYS[sort], isDescending);
}

/** Leads that match, in the order they come in. O(n). */
export function matchLeads(
  rows: readonly LeadRow[],
  { q, status, priority, temperature, owner }: LeadFilter,
): readonly LeadRow[] {
  const words = q
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  return rows.filter(
    ({ lead: { fields }, haystack }) =>
      (status === "" || fields.status_option_id === status) &&
      (priority === "" || fields.priority === priority) &&
      (temperature === "" || fields.temperature === temperature) &&
      (owner === "" || (owner === "none" ? fields.owner_id === undefined : fields.owner_id === owner)) &&
      words.every((word) => haystack.includes(word)),
  );
}

/** Sorts by a key that is read once per row; rows without a key (`""`, −1) come last. */
export function sorted<R extends { readonly id: string }>(
  rows: readonly R[],
  keyOf: (row: R) => string | number,
  isDescending: boolean,
): readonly R[] {
  const sign = isDescending ? -1 : 1;
  const keyed = rows.map((row) => [keyOf(row), row] as const);
  const isEmpty = (key: string | number): boolean => key === "" || key === -1;
  keyed.sort(([a, one], [b, other]) => {
    if (isEmpty(a) !== isEmpty(b)) {
      return isEmpty(a) ? 1 : -1;
    }
    return sign * (a < b ? -1 : a > b ? 1 : one.id < other.id ? -1 : 1);
  });
  return keyed.map(([, row]) => row);
}
