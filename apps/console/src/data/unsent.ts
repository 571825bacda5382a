/** What the server does not have, as a text that a person can keep before everything here is deleted. */

import { crm } from "@syncline/sdk/crm";
import type { Crm } from "./client.ts";
import type { EntityName } from "./live.ts";

/** Records with changes that wait, and refused changes with their reasons: JSON. Reads every record of the device. */
export async function unsentOf(client: Crm): Promise<string> {
  const waiting: object[] = [];
  for (const entity of Object.keys(crm.schema.entities) as EntityName[]) {
    const records = await client.select(entity, {});
    waiting.push(...records.flatMap(({ id, fields, state }) => (state === "pending" ? [{ entity, id, fields }] : [])));
  }
  const rejected = (await client.rejected()).map(({ mutation, outcome }) => ({
    reason: outcome.detail ?? outcome.code ?? "",
    changes: mutation.ops,
  }));
  return JSON.stringify({ waiting, rejected }, null, 2);
}
