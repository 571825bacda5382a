/** What a list shows, as its address says. */

export interface ListSearch {
  readonly q: string;
  /** One choice that the list offers beside the search; empty: none. */
  readonly filter: string;
  readonly sort: string;
  readonly isDescending: boolean;
}

export interface ListDefaults {
  readonly sorts: readonly string[];
  readonly sort: string;
  readonly isDescending: boolean;
}

/** Reads an address; what is not understood is as if it were absent. */
export function readListSearch(raw: Readonly<Record<string, unknown>>, defaults: ListDefaults): ListSearch {
  const text = (name: string): string => (raw[name] === undefined ? "" : String(raw[name]));
  const sort = defaults.sorts.find((known) => known === raw.sort);
  return {
    q: text("q"),
    filter: text("filter"),
    sort: sort ?? defaults.sort,
    isDescending: sort === undefined ? defaults.isDescending : raw.desc === true || raw.desc === 1,
  };
}

/** The address of a search: only what differs from the list as it is. */
export function writeListSearch(
  search: ListSearch,
  defaults: ListDefaults,
): Record<string, string | number | undefined> {
  const isUsual = search.sort === defaults.sort && search.isDescending === defaults.isDescending;
  return {
    q: search.q === "" ? undefined : search.q,
    filter: search.filter === "" ? undefined : search.filter,
    sort: isUsual ? undefined : search.sort,
    desc: isUsual || !search.isDescending ? undefined : 1,
  };
}
