import type { AnyClient } from "@syncline/sdk";
import type { CrmEntities } from "@syncline/sdk/crm";

export async function addContact({ db }: AnyClient<CrmEntities>): Promise<string> {
  // Durable in the outbox and on the screen when this resolves, with or without a network.
  const contact = await db.contacts.create({ firstname: "Grace", lastname: "Hopper", tags: ["navy"] });
  if (!contact.ok) {
    // Nothing was stored; the message says what to do.
    throw new Error(contact.error.message);
  }
  await db.contacts.update(contact.value, { job_title: "Admiral", tags: { add: ["vip"] } });
  return contact.value;
}
