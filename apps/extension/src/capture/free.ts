/** What people and links say without structure: a selection, `mailto:` and `tel:`. */

import { type ContactField, checked } from "./fields.ts";
import { domainOf, lines, webAddress } from "./text.ts";

type Found = Partial<Record<ContactField, string>>;

/** Lengths are bounded, so looking through a text takes time in proportion to it. */
const EMAIL = /[^\s@<>()[\]",;:]{1,64}@[^\s@<>()[\]",;:]{1,253}/gu;
const PHONE = /\+?\(?[0-9][0-9 ()./\u00a0-]{5,24}[0-9]/g;
const DATE = /^(?:19|20)[0-9]{2}[-./]|^[0-9]{1,2}[./][0-9]{1,2}[./]/;
const PHONE_DIGITS = { min: 7, max: 15 };
/** A line of two to four words, each with a capital letter: most likely a name. */
const NAME =
  /^\p{Lu}[\p{L}\p{M}'’.-]{0,39}(?: (?:(?:van|von|de|der|den|da|di|du|la|le|bin|al) )*\p{Lu}[\p{L}\p{M}'’.-]{0,39}){1,3}$/u;

/** What was selected is what the person means. `isNameWanted`: nothing better says who it is. */
export function readSelection(selection: string, isNameWanted: boolean): Found {
  const text = lines(selection, 5_000);
  const emails = [...text.matchAll(EMAIL)].flatMap(
    ([found]) => checked("email", found.replace(/[.!?'’]+$/u, "")) ?? [],
  );
  const phones = [...text.matchAll(PHONE)].map(([found]) => found.trim()).filter(isPhone);
  const name = isNameWanted ? text.split("\n").find((each) => NAME.test(each)) : undefined;
  const cut = name?.lastIndexOf(" ") ?? 0;
  return {
    ...(emails[0] !== undefined && { email: emails[0] }),
    ...(phones[0] !== undefined && { phone_number: phones[0] }),
    ...(name !== undefined && { firstname: name.slice(0, cut), lastname: name.slice(cut + 1) }),
  };
}

/** The first telephone link, and the first e-mail link of the page's own domain, else of any. */
export function readLinks(links: readonly (readonly [href: string, text: string])[], page: string): Found {
  const valid = (scheme: string, field: ContactField): string[] =>
    links.filter(([href]) => href.toLowerCase().startsWith(scheme)).flatMap(([href]) => checked(field, href) ?? []);
  const url = webAddress(page);
  const emails = valid("mailto:", "email");
  const own = emails.find(
    (email) => url !== undefined && isWithin(domainOf(url), email.slice(email.lastIndexOf("@") + 1)),
  );
  const [email, phone] = [own ?? emails[0], valid("tel:", "phone_number")[0]];
  return { ...(email !== undefined && { email }), ...(phone !== undefined && { phone_number: phone }) };
}

function isPhone(text: string): boolean {
  const digits = text.replace(/[^0-9]/g, "").length;
  return (
    digits >= PHONE_DIGITS.min &&
    digits <= PHONE_DIGITS.max &&
    !DATE.test(text) &&
    checked("phone_number", text) === text
  );
}

function isWithin(host: string, domain: string): boolean {
  return host === domain || host.endsWith(`.${domain}`);
}
