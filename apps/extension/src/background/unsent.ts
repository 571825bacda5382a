/** What the server does not have, as a text that the person can keep before everything here is deleted. */

import { crm } from "@syncline/sdk/crm";
import type { IntakeRow } from "../intake/intake.ts";
import type { Device } from "./device.ts";

/** Refused changes with their reasons, records with changes that wait, captures that are not records yet. */
export async function unsentOf(device: Device | undefined, rows: readonly IntakeRow[]): Promise<string> {
  const waiting: object[] = [];
  for (const entity of device === undefined ? [] : Object.keys(crm.schema.entities)) {
    const records = (await device?.select(entity, {})) ?? [];
    waiting.push(
      ...records.filter(({ state }) => state === "pending").map(({ id, fields }) => ({ entity, id, fields })),
    );
  }
  const refused = ((await device?.rejected()) ?? []).map(({ mutation, outcome }) => ({
    reason: outcome.detail ?? outcome.code ?? "",
    changes: mutation.ops,
  }));
  const captures = rows.map(({ save, invalid }) => ({ ...save, ...(invalid !== undefined && { reason: invalid }) }));
  return JSON.stringify({ waiting, refused, captures }, null, 2);
}
