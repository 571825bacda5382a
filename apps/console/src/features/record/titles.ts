/** What a record is called, wherever it is named. Ids are never shown. */

import { useCallback } from "react";
import { type EntityName, type Row, useById } from "../../data/live.ts";

type Named = Pick<Row<"contacts">, "fields">;

/** By the names that can be changed; the one name is what other programs brought. */
export function contactName({ fields }: Named): string {
  const parts = [fields.firstname, fields.lastname].filter((part) => part !== undefined && part !== "").join(" ");
  return parts || fields.name || fields.email || fields.phone_number || fields.company_name || "Unnamed contact";
}

/** The title of a record by its fields alone. */
export function titleOf(entity: string, fields: Readonly<Record<string, unknown>>): string {
  if (entity === "contacts") {
    return contactName({ fields: fields as Row<"contacts">["fields"] });
  }
  const title = fields.name ?? fields.title ?? fields.product_interest ?? fields.field_name;
  return typeof title === "string" && title !== "" ? title : "Untitled";
}

/** Names a record of an entity by its id; `undefined` when this device does not have it. */
export function useTitles(entity: EntityName | undefined): (id: string) => string | undefined {
  const held = useById((entity ?? "users") as "contacts");
  const contacts = useById("contacts");
  return useCallback(
    (id) => {
      const record = held.get(id);
      if (record === undefined || entity === undefined) {
        return undefined;
      }
      if (entity === "leads") {
        const { contact_id, product_interest } = record.fields as unknown as Row<"leads">["fields"];
        const contact = contact_id === undefined ? undefined : contacts.get(contact_id);
        return contact === undefined ? (product_interest ?? "Unnamed lead") : contactName(contact);
      }
      return titleOf(entity, { ...record.fields });
    },
    [held, contacts, entity],
  );
}
