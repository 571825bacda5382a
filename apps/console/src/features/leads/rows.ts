/** Leads as lists show them: joined with their contact, company, status and owner, filtered and sorted. Pure. */

import type { Row } from "../../data/live.ts";
import type { KeyOf } from "../../data/ordered.ts";
import { wordsOf } from "../../data/searching.ts";
import { createdMs } from "../../format/value.ts";
import { contactName } from "../record/titles.ts";

/** What leads refer to, by id. */
export interface Around {
  readonly contacts: ReadonlyMap<string, Row<"contacts">>;
  readonly companies: ReadonlyMap<string, Row<"companies">>;
  readonly statuses: ReadonlyMap<string, Row<"status_options">>;
  readonly users: ReadonlyMap<string, Row<"users">>;
}

/** A lead with what it refers to. Never changed; what only some rows are asked for is made when they are. */
export class LeadRow {
  readonly id: string;
  readonly lead: Row<"leads">;
  readonly contact: Row<"contacts"> | undefined;
  readonly company: Row<"companies"> | undefined;
  readonly status: Row<"status_options"> | undefined;
  readonly owner: Row<"users"> | undefined;
  #haystack: string | undefined;

  constructor(lead: Row<"leads">, around: Around) {
    const { contact_id, company_id, status_option_id, owner_id } = lead.fields;
    this.id = lead.id;
    this.lead = lead;
    this.contact = namedBy(around.contacts, contact_id);
    this.company = namedBy(around.companies, company_id);
    this.status = namedBy(around.statuses, status_option_id);
    this.owner = namedBy(around.users, owner_id);
  }

  /** What the row shows, were the lead joined with these, would be the same. */
  isOf({ contacts, companies, statuses, users }: Around): boolean {
    const { contact_id, company_id, status_option_id, owner_id } = this.lead.fields;
    return (
      this.contact === namedBy(contacts, contact_id) &&
      this.company === namedBy(companies, company_id) &&
      this.status === namedBy(statuses, status_option_id) &&
      this.owner === namedBy(users, owner_id)
    );
  }

  get name(): string {
    const { contact, lead } = this;
    return contact === undefined ? (lead.fields.product_interest ?? "Unnamed lead") : contactName(contact);
  }

  /** Everything a search looks in, in lower case. */
  get haystack(): string {
    if (this.#haystack === undefined) {
      const { email, phone_number } = this.contact?.fields ?? {};
      const { product_interest, lead_source, tags } = this.lead.fields;
      const company = this.company?.fields.name;
      const words = [this.name, company, email, phone_number, product_interest, lead_source, ...(tags ?? [])];
      this.#haystack = words
        .filter((word) => word !== undefined)
        .join("\n")
        .toLowerCase();
    }
    return this.#haystack;
  }
}

function namedBy<R>(records: ReadonlyMap<string, R>, id: string | undefined): R | undefined {
  return id === undefined ? undefined : records.get(id);
}

/** Leads joined with what they refer to, from one state to the next: a lead of which nothing changed keeps its row. */
export class LeadJoin {
  #around: Around | undefined;
  #rows: readonly LeadRow[] = [];

  /** The rows of these leads, in their order. O(n), and cheap for every lead that comes in id order as before. */
  rows(leads: readonly Row<"leads">[], around: Around): readonly LeadRow[] {
    const held = this.#rows;
    const isSameAround = around === this.#around;
    let place = 0;
    this.#rows = leads.map((lead) => {
      while (place < held.length && (held[place] as LeadRow).id < lead.id) {
        place += 1;
      }
      const row = held[place];
      return row?.lead === lead && (isSameAround || row.isOf(around)) ? row : new LeadRow(lead, around);
    });
    this.#around = around;
    return this.#rows;
  }
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

/** What leads are sorted by. */
export const LEAD_KEYS: Readonly<Record<LeadSort, KeyOf<LeadRow>>> = {
  name: (row) => row.name.toLowerCase(),
  company: (row) => row.company?.fields.name?.toLowerCase() ?? "",
  status: (row) => row.status?.fields.position ?? "",
  priority: ({ lead }) => PRIORITIES.indexOf(lead.fields.priority ?? ""),
  value: ({ lead }) => (lead.fields.estimated_value === undefined ? -1 : Number(lead.fields.estimated_value)),
  owner: (row) => row.owner?.fields.name?.toLowerCase() ?? "",
  close: ({ lead }) => lead.fields.expected_close_date ?? "",
  created: ({ id }) => createdMs(id),
};

/** Leads that match, in the order they come in. O(n). */
export function matchLeads(
  rows: readonly LeadRow[],
  { q, status, priority, temperature, owner }: LeadFilter,
): readonly LeadRow[] {
  const words = wordsOf(q);
  if (words.length === 0 && [status, priority, temperature, owner].every((wanted) => wanted === "")) {
    return rows;
  }
  return rows.filter((row) => {
    const { fields } = row.lead;
    return (
      (status === "" || fields.status_option_id === status) &&
      (priority === "" || fields.priority === priority) &&
      (temperature === "" || fields.temperature === temperature) &&
      (owner === "" || (owner === "none" ? fields.owner_id === undefined : fields.owner_id === owner)) &&
      words.every((word) => row.haystack.includes(word))
    );
  });
}
