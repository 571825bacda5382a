/** Texts: what every language can hold, and the length and pattern of a field. */

import type { Json } from "../json.ts";
import { Unfit } from "./expect.ts";
import type { FieldKind } from "./schema.ts";

/** The canonical form of a text field's value. */
export function canonicalText(kind: Extract<FieldKind, { type: "text" }>, value: Json): string {
  if (typeof value !== "string") {
    throw new Unfit("expected text");
  }
  const text = wellFormed(value);
  // A character is one or two units: counting is needed only for longer texts.
  if (text.length > kind.maxLength && [...text].length > kind.maxLength) {
    throw new Unfit(`expected at most ${kind.maxLength} characters`);
  }
  if (kind.pattern !== undefined && !matchesWhole(kind.pattern.source, text)) {
    throw new Unfit(kind.pattern.message);
  }
  return kind.format === undefined ? text : kind.format(text);
}

/** A text that every other language can hold: no U+0000, and no half of a character. */
export function wellFormed(text: string): string {
  if (text.includes("\u0000")) {
    throw new Unfit("text must not contain the character U+0000");
  }
  // A lone surrogate is no character and has no UTF-8 form: a frame with one in it could not be read by anybody.
  if (/\p{Surrogate}/u.test(text)) {
    throw new Unfit("text must not contain half of a character (a lone surrogate)");
  }
  return text;
}

/** Whether the expression matches the whole text; one that this platform cannot read is the server's to check. */
function matchesWhole(source: string, text: string): boolean {
  try {
    return new RegExp(`^(?:${source})$`, "u").test(text);
  } catch {
    return true;
  }
}
