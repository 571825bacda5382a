/** The last captures of this browser, and how each of them stands. */

import type { Rejected } from "@syncline/sdk";
import { CONTACT_FIELDS, type ContactFields } from "../capture/fields.ts";
import { nameOf } from "../intake/duplicates.ts";
import type { IntakeRow } from "../intake/intake.ts";
import { RECENT_KEY, readKey, writeKey } from "../keys.ts";
import type { Recent } from "../messages.ts";
import type { Device } from "./device.ts";

interface Remembered {
  /** Of the mutation. */
  readonly id: string;
  readonly contactId: string;
  readonly leadId: string;
}

export const RECENT_MAX = 10;

export async function remember(capture: Remembered): Promise<void> {
  const held = await remembered();
  await writeKey(RECENT_KEY, [capture, ...held.filter(({ id }) => id !== capture.id)].slice(0, RECENT_MAX));
}

export async function forget(id: string): Promise<void> {
  await writeKey(
    RECENT_KEY,
    (await remembered()).filter((held) => held.id !== id),
  );
}

export function forgetAll(): Promise<void> {
  return writeKey(RECENT_KEY, []);
}

/** Everything a person may want to look at: what needs them first, then what waits, then what has arrived. */
export async function recentOf(device: Device | undefined, rows: readonly IntakeRow[]): Promise<Recent[]> {
  const waiting = rows.map(
    (row): Recent => ({
      id: row.save.id,
      name: nameOf(row.save.contact),
      detail: row.save.contact.company_name ?? "",
      state: row.invalid === undefined ? "waiting" : "invalid",
      ...(row.invalid !== undefined && { message: row.invalid, save: row.save }),
    }),
  );
  if (device === undefined) {
    return waiting;
  }
  const rejected = (await device.rejected()).map(refused);
  const isListed = new Set(rejected.map(({ id }) => id));
  const kept: Recent[] = [];
  for (const { id, contactId, leadId } of await remembered()) {
    const [contact, lead] = [await device.get("contacts", contactId), await device.get("leads", leadId)];
    if (contact !== undefined && lead !== undefined && !isListed.has(id)) {
      kept.push({
        id,
        name: nameOf(contact.fields),
        detail: String(contact.fields.company_name ?? ""),
        state: lead.state === "pending" ? "waiting" : "synced",
      });
    }
  }
  return [...rejected, ...waiting, ...kept];
}

/** A capture the server refused, with its values. */
function refused({ mutation, outcome }: Rejected): Recent {
  const [op] = mutation.ops;
  const fields = op !== undefined && (op.op === "create" || op.op === "update") ? op.fields : {};
  // Of a lead that was added to somebody who has everything, there is nothing of a contact to change.
  const isContact = op !== undefined && "entity" in op && op.entity === "contacts";
  const contact = Object.fromEntries(
    CONTACT_FIELDS.flatMap((name) => (typeof fields[name] === "string" ? [[name, fields[name]]] : [])),
  ) as ContactFields;
  return {
    id: mutation.mutation_id,
    name: isContact ? nameOf(fields) : String(fields.product_interest ?? "Lead"),
    detail: String(fields.company_name ?? ""),
    state: "refused",
    message: outcome.detail ?? outcome.code ?? "The server refused it.",
    ...(isContact && { contact }),
    clientSeq: mutation.client_seq,
  };
}

async function remembered(): Promise<readonly Remembered[]> {
  return (await readKey<readonly Remembered[]>(RECENT_KEY)) ?? [];
}
