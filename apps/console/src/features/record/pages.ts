/** Addresses of the pages that records have, by entity; the others have none. */
export const PAGES: Readonly<Record<string, "/leads/$id" | "/contacts/$id" | "/opportunities/$id">> = {
  leads: "/leads/$id",
  contacts: "/contacts/$id",
  opportunities: "/opportunities/$id",
};
