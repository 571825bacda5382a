/**
 * Formats of text fields (`spec/vectors/values.json`): early warning on the device, for `ClientOptions.formats`. The server
 * checks them in any case; without them a text is kept as it was written until the server has seen it.
 */

import { canonicalEmail, isDomain, isIpv6 } from "./email.ts";
import { Unfit } from "./expect.ts";
import type { Formats } from "./schema.ts";
import { hasSpace, isBlank } from "./space.ts";
import { zoneName } from "./time.ts";

const CONTROL = /\p{Cc}/u;
/** Digits of any of the scripts people write phone numbers in. */
const PHONE_DIGIT = /[0-9\u0660-\u0669\u06f0-\u06f9\u0966-\u096f\uff10-\uff19]/gu;

/** Each returns the canonical text or throws what is expected. */
export const formats: Formats = {
  email: canonicalEmail,
  timezone: (text) => zoneName(text) ?? refuse("expected an IANA time zone like Europe/Berlin"),
  hostname: (text) => {
    const lower = text.toLowerCase();
    return lower.includes(".") && isDomain(lower) ? lower : refuse("expected a domain like example.com");
  },
  currency: (text) => code(text, /^[A-Z]{3}$/, "expected an ISO 4217 currency like EUR"),
  country: (text) => code(text, /^[A-Z]{2}$/, "expected an ISO 3166 country code like DE"),
  phone: (text) => kept(text, isPhone(text), "expected a phone number: 1 to 40 characters with at least 3 digits"),
  url: (text) => kept(text, isUrl(text, /^https?$/i), "expected a URL like https://example.com"),
  https_url: (text) => kept(text, isUrl(text, /^https$/i), "expected a URL that starts with https://"),
  language: (text) => kept(text, isLanguage(text), "expected a BCP 47 language tag like en-GB"),
  slug: (text) =>
    kept(
      text,
      /^[a-z0-9][a-z0-9-]{2,39}$/.test(text),
      "expected 3 to 40 of a-z, 0-9 and -, starting with a letter or digit",
    ),
  position: (text) =>
    kept(text, /^[0-9A-Za-z]{0,63}[1-9A-Za-z]$/.test(text), "expected 1 to 64 of 0-9, A-Z, a-z, not ending in 0"),
  not_blank: (text) => kept(text, !isBlank(text), "expected some text"),
};

function refuse(expected: string): never {
  throw new Unfit(expected);
}

function kept(text: string, isValid: boolean, expected: string): string {
  return isValid ? text : refuse(expected);
}

/** ASCII letters, brought to upper case. */
function code(text: string, form: RegExp, expected: string): string {
  // Only ASCII is raised: other letters could become ASCII ones.
  const upper = text.replace(/[a-z]/g, (letter) => letter.toUpperCase());
  return kept(upper, form.test(upper), expected);
}

function isPhone(text: string): boolean {
  return !CONTROL.test(text) && [...text].length <= 40 && (text.match(PHONE_DIGIT)?.length ?? 0) >= 3;
}

/** `scheme://host[:port][/…]`; user names and passwords in the host part are refused. */
function isUrl(text: string, schemes: RegExp): boolean {
  const cut = text.indexOf("://");
  if (cut < 0 || !schemes.test(text.slice(0, cut))) {
    return false;
  }
  const rest = text.slice(cut + 3);
  if (CONTROL.test(rest) || hasSpace(rest) || /[<>"\\^`{|}]/.test(rest)) {
    return false;
  }
  const authority = rest.split(/[/?#]/u)[0] ?? "";
  const literal = /^\[([^\]]*)\](:.*)?$/.exec(authority);
  if (literal !== null) {
    return isIpv6(literal[1] ?? "") && isPort(literal[2]?.slice(1));
  }
  const colon = authority.indexOf(":");
  const host = (colon < 0 ? authority : authority.slice(0, colon)).replace(/\.$/, "");
  return (
    isPort(colon < 0 ? undefined : authority.slice(colon + 1)) && host !== "" && isDomain(host.replaceAll("_", "x"))
  );
}

/** An empty port stands for the scheme's own. */
function isPort(port: string | undefined): boolean {
  return port === undefined || port === "" || (/^[0-9]+$/.test(port) && Number(port) <= 65_535);
}

/** Well-formed by BCP 47: `language[-extlang][-script][-region][-variant…][-extension…][-x-private…]`. */
function isLanguage(text: string): boolean {
  const language = "(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})";
  const tail =
    "(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?";
  return new RegExp(`^(?:${language}${tail}|x(?:-[a-z0-9]{1,8})+)$`, "i").test(text);
}
