import { useMemo, useState } from "react";
import { byId, stateOf, useLive } from "../../data/live.ts";
import { LeadJoin, type LeadRow } from "./rows.ts";

/** All leads of this device, joined with what they refer to; ready when all of it has been read. */
export function useLeadRows(): { readonly state: "loading" | "ready"; readonly rows: readonly LeadRow[] } {
  const leads = useLive("leads");
  const contacts = useLive("contacts");
  const companies = useLive("companies");
  const statuses = useLive("status_options");
  const users = useLive("users");
  const [join] = useState(() => new LeadJoin());
  const state = stateOf([leads, contacts, companies, statuses, users]);
  const rows = useMemo(
    () =>
      state === "loading"
        ? []
        : join.rows(leads.rows, {
            contacts: byId(contacts.rows),
            companies: byId(companies.rows),
            statuses: byId(statuses.rows),
            users: byId(users.rows),
          }),
    [join, state, leads.rows, contacts.rows, companies.rows, statuses.rows, users.rows],
  );
  return { state, rows };
}
