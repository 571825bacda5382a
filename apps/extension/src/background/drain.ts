/** From the intake into the outbox. A row leaves the intake after the outbox has it, so nothing falls between them. */

import { domainOfWebsite } from "../capture/capture.ts";
import { editsOf, type Surroundings } from "../intake/edits.ts";
import { type IntakeRow, intakeRows, isOf, putIntake, removeIntake } from "../intake/intake.ts";
import type { Device } from "./device.ts";
import { remember } from "./recent.ts";

/** How a row went. */
export type Drained =
  | { readonly how: "taken" }
  /** It cannot become a lead as it is. */
  | { readonly how: "invalid"; readonly message: string; readonly field?: string }
  /** It waits: for somebody to sign in, or for room. */
  | { readonly how: "waits" };

/** Takes every row for this server and person, oldest first. May be repeated at any point of it: rows have names. */
export async function drain(device: Device, server: string): Promise<Map<string, Drained>> {
  const drained = new Map<string, Drained>();
  const userId = device.credentials?.userId;
  for (const row of await intakeRows()) {
    if (row.invalid === undefined && isOf(row, { server, userId })) {
      const how = await drainRow(device, server, row);
      drained.set(row.save.id, how);
      if (how.how === "waits") {
        break;
      }
    }
  }
  return drained;
}

async function drainRow(device: Device, server: string, row: IntakeRow): Promise<Drained> {
  const userId = device.credentials?.userId;
  if (userId === undefined) {
    return { how: "waits" };
  }
  const surroundings = await surroundingsOf(device, row, userId);
  const taken = await device.mutate(editsOf(row, surroundings), row.save.id);
  if (taken.ok) {
    await remember({ id: row.save.id, contactId: surroundings.existing?.id ?? row.contactId, leadId: row.leadId });
    await removeIntake(row.save.id);
    return { how: "taken" };
  }
  const { class: errorClass, message, field } = taken.error;
  switch (errorClass) {
    case "rejected":
    case "protocol":
      await putIntake({ ...row, server, userId, invalid: message });
      return { how: "invalid", message, ...(field !== undefined && { field }) };
    case "transient":
    case "session":
    case "local":
    case "fatal":
      return { how: "waits" };
  }
}

async function surroundingsOf(device: Device, { save }: IntakeRow, userId: string): Promise<Surroundings> {
  const domain = domainOfWebsite(save.contact.website);
  const [company] = domain === "" ? [] : await device.db.companies.select({ where: { domain }, limit: 1 });
  // A contact that was deleted meanwhile is made anew from the capture.
  const existing = save.existing === undefined ? undefined : await device.get("contacts", save.existing);
  return {
    userId,
    ...(company !== undefined && { companyId: company.id }),
    ...(existing !== undefined && { existing }),
  };
}
