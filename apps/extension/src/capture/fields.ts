/** The fields of a contact that a capture can fill, and what may stand in them. */

import { crmSchema } from "@syncline/sdk/crm";
import { formats } from "@syncline/sdk/formats";
import { line, webAddress } from "./text.ts";

export const CONTACT_FIELDS = [
  "firstname",
  "lastname",
  "email",
  "phone_number",
  "company_name",
  "job_title",
  "website",
  "st_address",
  "city",
  "state",
  "zip",
  "country",
] as const;

export type ContactField = (typeof CONTACT_FIELDS)[number];
export type ContactFields = Readonly<Partial<Record<ContactField, string>>>;

/** Of a text without a declared length, as the server has it. */
const LENGTH_DEFAULT = 255;

/** The value as it can be stored, or `undefined` when it cannot. What a page calls an e-mail address often is none. */
export function checked(field: ContactField, value: string): string | undefined {
  const declared = crmSchema.entities.contacts?.fields[field];
  const text = line(field === "email" || field === "phone_number" ? withoutScheme(value) : value, 2_048);
  if (text === "") {
    return undefined;
  }
  if (field === "website") {
    return attempt("url", webAddress(text)?.href ?? "");
  }
  if (declared?.format !== undefined) {
    return attempt(declared.format, text);
  }
  return line(text, declared?.max_len ?? LENGTH_DEFAULT);
}

function attempt(format: string, text: string): string | undefined {
  try {
    return formats[format]?.(text);
  } catch {
    // What a format refuses is no value.
    return undefined;
  }
}

/** `mailto:` and `tel:` stand before values in structured data too. */
function withoutScheme(text: string): string {
  const bare = text.trim().replace(/^(?:mailto|tel):/i, "");
  return bare === text.trim() ? text : decoded(bare.split("?")[0] ?? "");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
