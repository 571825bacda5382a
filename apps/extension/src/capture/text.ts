/** Texts and addresses of a page, brought into a form that can do no harm where they are shown or stored. */

/** Surrogates without their other half. */
const LONE = /\p{Surrogate}/gu;
/** What is not white space and not seen: controls, formats, tags. Two formats join letters in some scripts and emoji. */
const UNSEEN = /(?![\s\u0085\u200c\u200d])[\p{Cc}\p{Cf}\ufff9-\ufffb]/gu;

/** One line of readable text, composed (NFC), of at most `max` characters. */
export function line(text: string, max: number): string {
  return cut(
    readable(text)
      .replace(/[\s\u0085]+/gu, " ")
      .trim(),
    max,
  );
}

/** Readable text that keeps its lines, of at most `max` characters. */
export function lines(text: string, max: number): string {
  const kept = readable(text)
    .split(/\r\n|[\n\r\u0085\u2028\u2029]/u)
    .map((each) => each.replace(/\s+/gu, " ").trim());
  return cut(
    kept
      .join("\n")
      .replace(/\n{3,}/g, "\n\n")
      .trim(),
    max,
  );
}

function readable(text: string): string {
  return text.replace(LONE, "").replace(UNSEEN, "").normalize("NFC");
}

/** Cuts between characters, never inside one. */
function cut(text: string, max: number): string {
  return text.length <= max ? text : Array.from(text).slice(0, max).join("").trimEnd();
}

/** An address of the web, without user name and fragment; `undefined` for anything else, `javascript:` among it. */
export function webAddress(text: string, base?: string): URL | undefined {
  const trimmed = text.trim();
  if (trimmed === "" || !URL.canParse(trimmed, base)) {
    return undefined;
  }
  const url = new URL(trimmed, base);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    return undefined;
  }
  url.username = "";
  url.password = "";
  url.hash = "";
  return url.href.length <= 2_048 ? url : undefined;
}

/** The host of a web address without `www.`. */
export function domainOf(url: URL): string {
  return url.hostname.replace(/^www\./, "");
}
