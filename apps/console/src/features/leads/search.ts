/** What the list of leads shows, as its address says. */

import type { LeadFilter, LeadSort } from "./rows.ts";

export interface LeadSearch extends LeadFilter {
  readonly sort: LeadSort;
  readonly isDescending: boolean;
}

export const NO_LEAD_FILTER: LeadFilter = { q: "", status: "", priority: "", temperature: "", owner: "" };

const SORTS: readonly LeadSort[] = ["name", "company", "status", "priority", "value", "owner", "close", "created"];

/** Reads an address; what is not understood is as if it were absent. */
export function readLeadSearch(raw: Readonly<Record<string, unknown>>): LeadSearch {
  const text = (name: string): string => (raw[name] === undefined ? "" : String(raw[name]));
  const sort = SORTS.find((known) => known === raw.sort);
  return {
    q: text("q"),
    status: text("status"),
    priority: text("priority"),
    temperature: text("temperature"),
    owner: text("owner"),
    sort: sort ?? "created",
    isDescending: sort === undefined ? true : raw.desc === true || raw.desc === 1,
  };
}

/** The address of a search: only what differs from the list as it is. */
export function writeLeadSearch(search: LeadSearch): Record<string, string | number | undefined> {
  const text = (value: string): string | undefined => (value === "" ? undefined : value);
  const isUsual = search.sort === "created" && search.isDescending;
  return {
    q: text(search.q),
    status: text(search.status),
    priority: text(search.priority),
    temperature: text(search.temperature),
    owner: text(search.owner),
    sort: isUsual ? undefined : search.sort,
    desc: isUsual || !search.isDescending ? undefined : 1,
  };
}
