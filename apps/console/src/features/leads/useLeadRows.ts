import { useMemo } from "react";
import { useById, useLive } from "../../data/live.ts";
import { joinLeads, type LeadRow } from "./rows.ts";

/** All leads of this device, joined with what they refer to. */
export function useLeadRows(): { readonly state: "loading" | "ready"; readonly rows: readonly LeadRow[] } {
  const { state, rows: leads } = useLive("leads");
  const contacts = useById("contacts");
  const companies = useById("companies");
  const statuses = useById("status_options");
  const users = useById("users");
  const rows = useMemo(
    () => joinLeads(leads, { contacts, companies, statuses, users }),
    [leads, contacts, companies, statuses, users],
  );
  return { state, rows };
}
