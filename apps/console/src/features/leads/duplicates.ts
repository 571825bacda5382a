/** Which contacts are likely the same person. One definition for forms and imports. */

import type { Row } from "../../data/live.ts";

/** E-mail as it is compared: folded, in one normal form. */
export function emailKey(email: string | undefined): string | undefined {
  const key = email?.trim().normalize("NFC").toLowerCase();
  return key === "" ? undefined : key;
}

/** Phone as it is compared: its digits without the zeros or plus in front; too short ones say nothing. */
export function phoneKey(phone: string | undefined): string | undefined {
  const digits = phone?.replace(/\D/g, "").replace(/^0+/, "") ?? "";
  return digits.length >= 7 ? digits : undefined;
}

/** Name and company as they are compared; nobody has the same as somebody without a name. */
function nameKey(fields: Readonly<Record<string, unknown>>): string | undefined {
  const parts = ["name", "firstname", "lastname", "company_name"].map((name) => String(fields[name] ?? "").trim());
  return parts.every((part) => part === "") ? undefined : parts.join("\n").normalize("NFC").toLowerCase();
}

/** Somebody's whole name at a company, as they are compared; a name alone says nothing: there are many Anna Bergs. */
export function personKey(fields: Readonly<Record<string, unknown>>): string | undefined {
  const text = (name: string): string => String(fields[name] ?? "").trim();
  const name = text("name") || [text("firstname"), text("lastname")].filter((part) => part !== "").join(" ");
  const company = text("company_name");
  return name === "" || company === ""
    ? undefined
    : `${name}\n${company}`
        .normalize("NFC")
        .toLowerCase()
        .replace(/[ \t]+/g, " ");
}

export interface Match {
  readonly contact: Row<"contacts">;
  readonly by: "e-mail" | "phone" | "name";
}

/** Contacts by what identifies them. O(contacts) to make, O(1) to ask. */
export class ContactIndex {
  readonly #byEmail = new Map<string, Row<"contacts">>();
  readonly #byPhone = new Map<string, Row<"contacts">>();
  /** Those without an e-mail and a phone. */
  readonly #byName = new Map<string, Row<"contacts">>();

  constructor(contacts: Iterable<Row<"contacts">>) {
    for (const contact of contacts) {
      const { email, phone_number, secondary_phone } = contact.fields;
      const keys = [phoneKey(phone_number), phoneKey(secondary_phone)];
      for (const key of keys) {
        if (key !== undefined && !this.#byPhone.has(key)) {
          this.#byPhone.set(key, contact);
        }
      }
      const folded = emailKey(email);
      if (folded !== undefined && !this.#byEmail.has(folded)) {
        this.#byEmail.set(folded, contact);
      }
      const named = nameKey({ ...contact.fields });
      if (named !== undefined && folded === undefined && keys.every((key) => key === undefined)) {
        this.#byName.set(named, contact);
      }
    }
  }

  /** The contact of exactly this name and company of which nothing else is known either. */
  named(fields: Readonly<Record<string, unknown>>): Match | undefined {
    const contact = this.#byName.get(nameKey(fields) ?? "");
    return contact && { contact, by: "name" };
  }

  /** The contact that has the e-mail or, failing that, the phone. A match warns; families share phones. */
  find(email: string | undefined, phone: string | undefined): Match | undefined {
    const byEmail = this.#byEmail.get(emailKey(email) ?? "");
    if (byEmail !== undefined) {
      return { contact: byEmail, by: "e-mail" };
    }
    const byPhone = this.#byPhone.get(phoneKey(phone) ?? "");
    return byPhone && { contact: byPhone, by: "phone" };
  }
}
