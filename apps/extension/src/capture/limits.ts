/** How much of a page is looked at. What is beyond is not looked at: a page decides its own size, not ours. */

export const LIMITS = {
  urlChars: 2_048,
  textChars: 500,
  selectionChars: 5_000,
  scripts: 20,
  /** Of one JSON-LD script; a longer one is left out, because half of it does not parse. */
  scriptChars: 200_000,
  /** Of all JSON-LD scripts together. */
  scriptsChars: 400_000,
  metas: 100,
  /** Elements with `itemscope`. */
  items: 50,
  /** Values with `itemprop`, over all items. */
  properties: 500,
  links: 100,
  /** Text nodes read for one value. */
  textNodes: 200,
} as const;

export type Limits = { readonly [Name in keyof typeof LIMITS]: number };

/** Levels of nested JSON-LD that are walked. */
export const DEPTH_MAX = 32;
/** Values of JSON-LD that are walked, over all scripts. */
export const NODES_MAX = 5_000;
