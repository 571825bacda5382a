/** A page as a test has it: markup in a document, at an address. */

import { readFileSync } from "node:fs";
import { Window } from "happy-dom";
import { LIMITS } from "../src/capture/limits.ts";
import { type Snapshot, takeSnapshot } from "../src/capture/snapshot.ts";

/** Names that the injected function takes from the page it runs in. */
const GLOBALS = ["document", "location", "getSelection", "NodeFilter"] as const;

/** The snapshot of a fixture, or of markup. `select`: the element whose text is selected. */
export function snapshotOf(page: { fixture?: string; html?: string; url?: string; select?: string }): Snapshot {
  const html = page.html ?? readFileSync(new URL(`fixtures/${page.fixture}.html`, import.meta.url), "utf8");
  const window = new Window({
    url: page.url ?? "https://www.tischlerei.example/",
    settings: { disableJavaScriptEvaluation: true },
  });
  window.document.write(html);
  const selected = page.select === undefined ? null : window.document.querySelector(page.select);
  const given = {
    document: window.document,
    location: window.location,
    getSelection: () => selected?.textContent.replace(/^\s+/gm, "") ?? "",
    NodeFilter: window.NodeFilter,
  };
  // As the browser does it: from its source text alone, with the page's own names around it.
  const inject = new Function("limits", ...GLOBALS, `return (${takeSnapshot})(limits)`);
  return inject(LIMITS, ...GLOBALS.map((name) => given[name])) as Snapshot;
}

export const EMPTY: Snapshot = {
  url: "https://example.com/",
  title: "",
  language: "",
  selection: "",
  jsonLd: [],
  metas: [],
  items: [],
  links: [],
};
