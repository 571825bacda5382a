/**
 * White space as Unicode defines it, and as the server sees it. JavaScript's own `trim` and `\s` also take U+FEFF and
 * leave U+0085, which would make two spellings of one tag.
 */
const SPACE = "[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const ENDS = new RegExp(`^${SPACE}+|${SPACE}+$`, "gu");
const ALL = new RegExp(`^${SPACE}*$`, "u");
const ANY = new RegExp(SPACE, "u");

export function trimmed(text: string): string {
  return text.replace(ENDS, "");
}

export function isBlank(text: string): boolean {
  return ALL.test(text);
}

export function hasSpace(text: string): boolean {
  return ANY.test(text);
}
