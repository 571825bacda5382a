/** What a new contact has to say of somebody. */

import type { Fields } from "@syncline/sdk";

/** What somebody is known by: a form asks for it first, and a new contact has one of them at least. */
export const WHO_FIELDS = ["firstname", "lastname", "email", "phone_number"] as const;

/** What is wrong with a person of whom nothing is known, by field. */
export function whoErrors(person: Fields): Readonly<Record<string, string>> {
  const isKnown = WHO_FIELDS.some((name) => person[name] !== undefined);
  return isKnown ? {} : { firstname: "Say who it is: a name, an e-mail or a phone." };
}
