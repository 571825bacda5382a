/** Which fields of a rejected change are edited before it is sent again. Pure. */

import { entityOf, isEditable } from "../../data/schema.ts";

export interface Offered {
  /** Fields of the change itself. */
  readonly own: readonly string[];
  /** Fields that it left as they were, and that may be what is missing. */
  readonly others: readonly string[];
}

/**
 * `own`: names of the fields that the change sets. `reason`: what the server said; when it names fields they are all that is
 * offered beside `own`, otherwise any other field may be what it asks for.
 */
export function offeredFields(
  entity: string,
  own: readonly string[],
  reason: string,
  when: "create" | "update",
): Offered {
  const named = namedFields(entity, reason);
  const isOffered = (name: string): boolean => isEditable(entity, name, when);
  return {
    own: own.filter(isOffered),
    others: (named.length > 0 ? named : typedFields(entity)).filter((name) => isOffered(name) && !own.includes(name)),
  };
}

/**
 * Fields that a text names as the schema does: "amount: must be …", "leads.source cannot …", "both subject_type and …". A word of
 * prose that is called like a field names none.
 */
function namedFields(entity: string, reason: string): readonly string[] {
  const isNamed = (name: string): boolean =>
    reason.startsWith(`${name}:`) ||
    new RegExp(`\\b${name.includes("_") ? "" : `${entity}\\.`}${name}\\b`).test(reason);
  return [...entityOf(entity).fields.keys()].filter(isNamed);
}

/** Fields that can be typed or chosen. */
function typedFields(entity: string): readonly string[] {
  return [...entityOf(entity).fields].flatMap(([name, { kind, references }]) =>
    kind.type === "json" || (kind.type === "uuid" && references === undefined) ? [] : [name],
  );
}
