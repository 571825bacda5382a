/** What keeps somebody from using a screen: contrast, names of controls, roles, order. Checked by axe-core. */

import axe from "axe-core";

/** Violations that count. Those of less weight are advice. */
const COUNTS = new Set(["serious", "critical"]);

/** Elements that are named of those that break a rule. */
const NAMED_MAX = 2;

/**
 * A line for each rule that a page breaks, with some of the elements that break it.
 *
 * @param {(work: string | (() => unknown)) => Promise<any>} run runs a function, or the text of one, in the page, and returns
 *   what it returns. The page's policy may admit no script of ours, so it is to be run by the browser itself.
 * @returns {Promise<readonly string[]>}
 */
export async function barriersOf(run) {
  if (!(await run(() => "axe" in globalThis))) {
    await run(`() => { ${axe.source} }`);
  }
  const { violations } = await run(look);
  return violations
    .filter(({ impact }) => COUNTS.has(impact ?? ""))
    .map(({ id, nodes }) => {
      const first = nodes.slice(0, NAMED_MAX).map(({ html, any }) => `${html} (${any[0]?.message ?? ""})`);
      return `${id}, ${nodes.length} times: ${first.join("; ")}`;
    });
}

/** Runs in the page. What was done is told in windows that fade away while it looks. */
function look() {
  return globalThis.axe.run(
    { include: "body", exclude: '[role="dialog"][aria-modal="false"]' },
    { resultTypes: ["violations"] },
  );
}
