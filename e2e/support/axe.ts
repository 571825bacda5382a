/** What keeps somebody from using a screen: contrast, names of controls, roles, order. Checked by axe-core. */

import axe from "axe-core";
import type { Page } from "playwright-core";

/** Violations that count. Those of less weight are advice. */
const COUNTS = new Set(["serious", "critical"]);

/** Elements that are named of those that break a rule. */
const NAMED_MAX = 2;

/** A line for each rule that the page breaks, with some of the elements that break it. */
export async function barriersOf(page: Page): Promise<readonly string[]> {
  // The page's policy admits no script of ours, so it is evaluated, once per load.
  if (!(await page.evaluate(() => "axe" in globalThis))) {
    await page.evaluate(axe.source);
  }
  // What was done is told in windows that fade away while it looks.
  const { violations } = await page.evaluate(() =>
    (globalThis as unknown as { axe: typeof axe }).axe.run(
      { include: "body", exclude: '[role="dialog"][aria-modal="false"]' },
      { resultTypes: ["violations"] },
    ),
  );
  return violations
    .filter(({ impact }) => COUNTS.has(impact ?? ""))
    .map(({ id, nodes }) => {
      const first = nodes.slice(0, NAMED_MAX).map(({ html, any }) => `${html} (${any[0]?.message ?? ""})`);
      return `${id}, ${nodes.length} times: ${first.join("; ")}`;
    });
}
