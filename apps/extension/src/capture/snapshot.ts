/** What a capture may know of a page: plain texts, bounded, taken once. Nothing of the page's own objects leaves it. */

import type { Limits } from "./limits.ts";

export interface Snapshot {
  readonly url: string;
  readonly title: string;
  readonly language: string;
  readonly selection: string;
  /** Contents of `script[type="application/ld+json"]`, as they stand there. */
  readonly jsonLd: readonly string[];
  /** `name` or `property` of each `meta`, and its content. */
  readonly metas: readonly (readonly [name: string, content: string])[];
  readonly items: readonly SnapshotItem[];
  /** `mailto:` and `tel:` links with their text. */
  readonly links: readonly (readonly [href: string, text: string])[];
}

/** An element with `itemscope`. */
export interface SnapshotItem {
  /** Words of its `itemtype`. */
  readonly types: string;
  /** A value is a text, or the position of another item. */
  readonly properties: readonly (readonly [name: string, value: string | number])[];
}

/**
 * Takes the snapshot. Runs in the page, in the extension's own world: it is sent there as its source text, so it names
 * nothing outside of itself. O(size of the page) for finding elements; what is read and returned is bounded by `limits`.
 */
export function takeSnapshot(limits: Limits): Snapshot {
  const cut = (text: string | null | undefined, chars: number): string => (text ?? "").slice(0, chars);

  /** The visible text below an element, without making the text of a whole page first. */
  const textOf = (element: Element): string => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    let text = "";
    for (let read = 0; read < limits.textNodes && text.length < limits.textChars; read++) {
      const node = walker.nextNode();
      if (node === null) {
        break;
      }
      const inside = node.parentElement?.localName;
      if (inside !== "script" && inside !== "style" && inside !== "template") {
        text += ` ${cut(node.nodeValue, limits.textChars)}`;
      }
    }
    return cut(text, limits.textChars);
  };

  const first = (selector: string, count: number): Element[] => {
    const found = document.querySelectorAll(selector);
    return Array.from({ length: Math.min(found.length, count) }, (_, index) => found[index] as Element);
  };

  let scriptsChars = 0;
  const jsonLd = first('script[type="application/ld+json" i]', limits.scripts).flatMap((script) => {
    const text = script.textContent ?? "";
    scriptsChars += text.length;
    return text.length > limits.scriptChars || scriptsChars > limits.scriptsChars ? [] : [text];
  });

  const metas = first("meta[name][content], meta[property][content]", limits.metas).map((meta): [string, string] => [
    cut(meta.getAttribute("property") ?? meta.getAttribute("name"), limits.textChars),
    cut(meta.getAttribute("content"), limits.urlChars),
  ]);

  const scopes = first("[itemscope]", limits.items);
  const items = scopes.map((scope) => ({
    types: cut(scope.getAttribute("itemtype"), limits.textChars),
    properties: [] as [string, string | number][],
  }));
  for (const element of first("[itemprop]", limits.properties)) {
    const owner = scopes.indexOf(element.parentElement?.closest("[itemscope]") as Element);
    const own = scopes.indexOf(element);
    const value =
      own >= 0
        ? own
        : cut(
            element.getAttribute("content") ??
              element.getAttribute("href") ??
              element.getAttribute("src") ??
              element.getAttribute("datetime") ??
              textOf(element),
            limits.urlChars,
          );
    for (const name of cut(element.getAttribute("itemprop"), limits.textChars).split(/\s+/)) {
      items[owner]?.properties.push([name, value]);
    }
  }

  const links = first('a[href^="mailto:" i], a[href^="tel:" i]', limits.links).map((link): [string, string] => [
    cut(link.getAttribute("href"), limits.urlChars),
    textOf(link),
  ]);

  return {
    url: cut(location.href, limits.urlChars),
    title: cut(document.title, limits.textChars),
    language: cut(document.documentElement.lang, limits.textChars),
    selection: cut(String(getSelection() ?? ""), limits.selectionChars),
    jsonLd,
    metas,
    items,
    links,
  };
}
