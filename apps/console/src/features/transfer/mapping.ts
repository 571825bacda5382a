/** Which column of a file is which field. Guessed from the header, decided by the person. Pure. */

import { entityOf, isEditable, labelOf } from "../../data/schema.ts";

export type Target = { readonly entity: "contacts" | "leads"; readonly field: string } | undefined;

/** What rows become: a contact, or a contact with a lead. */
export type ImportKind = "leads" | "contacts";

/** Headers are compared folded: letters and digits in lower case. */
export function fold(header: string): string {
  return header.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
}

/** What other systems call our fields, folded. */
const SYNONYMS: Readonly<Record<string, readonly string[]>> = {
  firstname: ["first", "givenname", "vorname", "forename"],
  lastname: ["last", "surname", "familyname", "nachname"],
  name: ["fullname", "contactname", "displayname", "contact", "leadname"],
  email: ["email1", "emailaddress", "mail", "primaryemail", "workemail"],
  phone_number: ["phone", "phone1", "primaryphone", "mobile", "mobilephone", "cell", "cellphone", "telephone", "tel"],
  secondary_phone: ["phone2", "otherphone", "homephone"],
  company_name: ["company", "organisation", "organization", "account", "accountname", "firma"],
  job_title: ["title", "position", "role"],
  st_address: ["address", "street", "address1", "streetaddress"],
  state: ["province", "region"],
  zip: ["zipcode", "postalcode", "postcode", "plz"],
  website: ["url", "web", "homepage"],
  lead_source: ["source"],
  product_interest: ["product", "interest", "interestedin"],
  estimated_value: ["value", "amount", "dealvalue", "dealsize"],
  expected_close_date: ["closedate", "closingdate"],
  notes: ["note", "comment", "comments", "remarks"],
  tags: ["tag", "labels"],
};

/** Fields that a lead and its contact both have, of which an import writes the lead's. */
const LEAD_FIRST = new Set([
  "lead_source",
  "priority",
  "estimated_value",
  "currency",
  "notes",
  "product_interest",
  "expected_close_date",
  "temperature",
  "tags",
]);

/** Fields of an entity that a file can fill: plain values a person may write. */
export function targetsOf(entity: "contacts" | "leads"): readonly string[] {
  return [...entityOf(entity).fields.values()]
    .filter(
      ({ name, kind, references }) =>
        isEditable(entity, name, "create") && references === undefined && kind.type !== "json" && kind.type !== "uuid",
    )
    .map(({ name }) => name);
}

/** The field that a header most likely means; each field is taken once, by the first column that names it. */
export function guessMapping(headers: readonly string[], kind: ImportKind): readonly Target[] {
  const taken = new Set<string>();
  return headers.map((header) => {
    const folded = fold(header);
    const order = kind === "leads" ? (["leads", "contacts"] as const) : (["contacts"] as const);
    for (const entity of order) {
      const field = targetsOf(entity).find((name) => {
        const isName =
          fold(name) === folded || fold(labelOf(name)) === folded || SYNONYMS[name]?.includes(folded) === true;
        return isName && (entity === "contacts" || LEAD_FIRST.has(name));
      });
      const key = `${entity}.${field}`;
      if (field !== undefined && !taken.has(key)) {
        taken.add(key);
        return { entity, field };
      }
    }
    return undefined;
  });
}
