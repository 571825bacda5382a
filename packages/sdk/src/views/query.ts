/** Questions about one entity's records, as the person sees them. */

import { holds, type Json } from "../json.ts";
import { compareValues } from "../merge/values.ts";
import type { Viewed } from "../replica/view.ts";
import type { Entity } from "../schema/schema.ts";

/** All conditions must hold. */
export interface Query {
  /** The record of this id alone. */
  readonly id?: string;
  /** Equalities: a scalar equals, a set contains; `null`: no value. */
  readonly where?: Readonly<Record<string, Json>>;
  /** Anything else a program wants to ask. Called for every record the equalities leave; must not throw. */
  readonly filter?: (record: Viewed) => boolean;
  /** Field to order by, ascending; without one, by id, which is the order of creation. */
  readonly sort?: string;
  readonly isDescending?: boolean;
  /** At most this many; absent: all. */
  readonly limit?: number;
}

export function matches(query: Query, record: Viewed): boolean {
  if (query.id !== undefined && query.id !== record.id) {
    return false;
  }
  for (const [field, wanted] of Object.entries(query.where ?? {})) {
    if (!holds(record.fields, field, wanted)) {
      return false;
    }
  }
  return query.filter === undefined || query.filter(record);
}

/** Orders records as a query wants them; equal ones by id, so that every device shows them alike. */
export function orderOf(entity: Entity | undefined, query: Query): (a: Viewed, b: Viewed) => number {
  const { sort } = query;
  const kind = sort === undefined ? undefined : entity?.fields.get(sort)?.kind;
  const sign = query.isDescending === true ? -1 : 1;
  return (a, b) => {
    const bySort = sort === undefined ? 0 : compareValues(kind, a.fields[sort] ?? null, b.fields[sort] ?? null);
    return sign * (bySort || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  };
}
