/**
 * E-mail addresses: the mailbox of RFC 5321 with the international characters of RFC 6531. Comments, folding white space
 * and the obsolete forms of RFC 5322 are refused: no server accepts them in an envelope. Lengths are in octets.
 */

import { Unfit } from "./expect.ts";

const ADDRESS_MAX = 254;
const LOCAL_MAX = 64;
const DOMAIN_MAX = 253;
const LABEL_MAX = 63;
/** Not ASCII, and neither space, control nor a character that only looks like a dot or changes the direction of text. */
const INTERNATIONAL =
  "[^\\u0000-\\u007f\\p{Cc}\\u0085\\u00a0\\u1680\\u2000-\\u200b\\u200e\\u200f\\u2024\\u2028-\\u202f\\u205f-\\u206f\\u3000\\u3002\\uff0e\\uff61\\ufeff\\ufffd\\ue000-\\uf8ff]";
const ATOMS = new RegExp(`^(?:[A-Za-z0-9!#$%&'*+\\-/=?^_\`{|}~]|${INTERNATIONAL})+$`, "u");
const QUOTED = new RegExp(`^"(?:\\\\[ -~]|[ !#-\\[\\]-~]|${INTERNATIONAL})*"$`, "u");
const LABEL = new RegExp(`^(?:[A-Za-z0-9-]|${INTERNATIONAL})+$`, "u");

/** The address with its domain in lower case; the local part belongs to the receiving server and is kept as written. */
export function canonicalEmail(text: string): string {
  const at = text.lastIndexOf("@");
  const [local, domain] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1).toLowerCase()];
  const isValid =
    at >= 0 &&
    octets(local) + 1 + octets(domain) <= ADDRESS_MAX &&
    isLocalPart(local) &&
    (domain.startsWith("[") ? isAddressLiteral(domain) : isDomain(domain));
  if (!isValid) {
    throw new Unfit("expected an e-mail address like name@example.com");
  }
  return `${local}@${domain}`;
}

/** Dot-separated labels of letters, digits and inner hyphens, ASCII or international. */
export function isDomain(domain: string): boolean {
  const isLabel = (label: string): boolean =>
    octets(label) <= LABEL_MAX && !label.startsWith("-") && !label.endsWith("-") && LABEL.test(label);
  return octets(domain) <= DOMAIN_MAX && domain.split(".").every(isLabel);
}

/** Eight groups of hex digits, `::` for one or more groups of zeros, the last two perhaps as an IPv4 address. */
export function isIpv6(address: string): boolean {
  const halves = address.split("::");
  if (halves.length > 2) {
    return false;
  }
  const groups = halves.flatMap((half) => (half === "" ? [] : half.split(":")));
  const last = groups.at(-1) ?? "";
  const hasIpv4 = isIpv4(last) && !address.endsWith("::");
  const isHex = (hasIpv4 ? groups.slice(0, -1) : groups).every((group) => /^[0-9a-f]{1,4}$/i.test(group));
  const count = groups.length + (hasIpv4 ? 1 : 0);
  return isHex && (halves.length === 2 ? count <= 7 : count === 8);
}

function isIpv4(address: string): boolean {
  const parts = address.split(".");
  return parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) <= 255);
}

function isLocalPart(local: string): boolean {
  if (octets(local) > LOCAL_MAX) {
    return false;
  }
  return local.startsWith('"')
    ? local.length > 1 && QUOTED.test(local)
    : local.split(".").every((atom) => ATOMS.test(atom));
}

/** `[192.0.2.1]` or `[ipv6:2001:db8::1]`. */
function isAddressLiteral(literal: string): boolean {
  if (!literal.endsWith("]")) {
    return false;
  }
  const address = literal.slice(1, -1);
  if (!address.startsWith("ipv6:")) {
    return isIpv4(address);
  }
  const ipv6 = address.slice("ipv6:".length);
  // RFC 5321 lets `::` stand for two or more groups of zeros, where newer texts allow one.
  const groups = ipv6.split(":").filter((group) => group !== "");
  const count = groups.reduce((sum, group) => sum + (group.includes(".") ? 2 : 1), 0);
  return isIpv6(ipv6) && (!ipv6.includes("::") || count <= 6);
}

function octets(text: string): number {
  return new TextEncoder().encode(text).length;
}
