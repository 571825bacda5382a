/** Who may be the same as a capture: compared as imports compare, so one definition holds everywhere. */

import type { Viewed } from "@syncline/sdk";
import { domainOfWebsite } from "../capture/capture.ts";
import type { ContactFields } from "../capture/fields.ts";
import type { Duplicate } from "../messages.ts";

/** Candidates that are shown. */
export const DUPLICATES_MAX = 5;
/** Fewer digits say nothing. */
const PHONE_DIGITS_MIN = 7;

/** An address as it is compared; empty: there is none. */
export function emailKey(email: unknown): string {
  return typeof email === "string" ? email.trim().toLowerCase() : "";
}

/** A number as it is compared: its digits without the zeros of international writing, and the extension. */
export function phoneKey(phone: unknown): string {
  if (typeof phone !== "string") {
    return "";
  }
  const [main = "", extension = ""] = phone.toLowerCase().split(/x(.*)/s);
  const digits = main.replace(/[^0-9]/g, "").replace(/^00/, "");
  const inner = extension.replace(/[^0-9]/g, "");
  return digits.length < PHONE_DIGITS_MIN ? "" : inner === "" ? digits : `${digits}x${inner}`;
}

/** What a contact shares with the capture; nothing: it is not a candidate. Cheap: it is asked of every contact. */
export function sameness(capture: ContactFields): (contact: Viewed) => Duplicate["same"] {
  const [email, phone, domain] = [
    emailKey(capture.email),
    phoneKey(capture.phone_number),
    domainOfWebsite(capture.website),
  ];
  const company = (capture.company_name ?? "").toLowerCase();
  return ({ fields }) => {
    const same: Duplicate["same"][number][] = [];
    if (email !== "" && emailKey(fields.email) === email) {
      same.push("email");
    }
    if (phone !== "" && (phoneKey(fields.phone_number) === phone || phoneKey(fields.secondary_phone) === phone)) {
      same.push("phone");
    }
    const isCompany = typeof fields.company_name === "string" && fields.company_name.toLowerCase() === company;
    const isDomain = typeof fields.website === "string" && domainOfWebsite(fields.website) === domain;
    if ((company !== "" && isCompany) || (domain !== "" && isDomain)) {
      same.push("company");
    }
    return same;
  };
}

/** The likeliest candidates first: those that share most, then the newest. */
export function duplicatesOf(contacts: readonly Viewed[], capture: ContactFields): Duplicate[] {
  const shared = sameness(capture);
  return contacts
    .map((contact) => ({ contact, same: shared(contact) }))
    .filter(({ same }) => same.length > 0)
    .sort((a, b) => weight(b.same) - weight(a.same) || (a.contact.id < b.contact.id ? 1 : -1))
    .slice(0, DUPLICATES_MAX)
    .map(({ contact, same }) => ({
      id: contact.id,
      name: nameOf(contact.fields),
      company: String(contact.fields.company_name ?? ""),
      same,
    }));
}

/** How a contact is called on screens. */
export function nameOf(fields: Readonly<Record<string, unknown>>): string {
  const whole = [fields.firstname, fields.lastname].filter((part) => typeof part === "string" && part !== "").join(" ");
  const first = [whole, fields.name, fields.email, fields.phone_number, fields.company_name].find(
    (text) => typeof text === "string" && text !== "",
  );
  return typeof first === "string" ? first : "Without a name";
}

function weight(same: Duplicate["same"]): number {
  return same.reduce((sum, each) => sum + (each === "company" ? 1 : 2), 0);
}
