/** What the server would say to values, before they are sent. A device knows no more than its copy: it warns, and never decides. */

import type { Fields } from "@syncline/sdk";
import { crm } from "@syncline/sdk/crm";
import { type Warning, warningsOf } from "@syncline/sdk/foresee";
import type { Crm } from "../../data/client.ts";
import type { EntityName } from "../../data/live.ts";
import { entityOf, labelOf, nounOf } from "../../data/schema.ts";

/** `before`: the record as it is; absent: it is created. Reads the entity's records only where the schema declares a uniqueness. */
export async function foreseen(
  client: Crm,
  entity: EntityName,
  fields: Fields,
  before?: Fields & { readonly id?: string },
): Promise<Readonly<Record<string, string>>> {
  const unique = crm.schema.entities[entity]?.unique ?? [];
  const others = unique.length === 0 ? [] : await client.select(entity, {});
  const warnings = warningsOf({
    entity: entityOf(entity),
    fields,
    unique,
    ...(before !== undefined && { before }),
    others: () => others.map((record) => ({ ...record.fields }) as Fields),
  });
  return Object.fromEntries(warnings.map((warning) => [warning.field, inWords(entity, warning)]));
}

function inWords(entity: string, { code, field, message }: Warning): string {
  switch (code) {
    case "unique":
      return `Another ${nounOf(entity)} has this ${labelOf(field).toLowerCase()} already, so the server will refuse it.`;
    case "validation":
    case "rule":
      return `${labelOf(field)}: ${message}.`.replace(/\.\.$/, ".");
  }
}
