/** Conflicts: decided one by one, together, by somebody who was asked, and taken back. */

import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Browser } from "../support/browser.ts";
import { disagree, go, untilSync } from "../support/console.ts";
import { closeAll, openPerson, serverForFile } from "../support/people.ts";
import { MANAGER, OWNER } from "../support/server.ts";

const server = serverForFile();
let dana: Browser;
let milo: Browser;
/** Names of the leads that the two disagree about. */
let names: readonly string[] = [];
const VALUES = [
  ["4100", "5200"],
  ["4300", "5400"],
  ["4500", "5600"],
] as const;

beforeAll(async () => {
  [dana, milo] = [await openPerson(server, OWNER), await openPerson(server, MANAGER)];
  names = await disagree(dana, milo, VALUES);
}, 120_000);
afterAll(() => closeAll([dana, milo]));

/** Waits until the second and the third lead have these values in the list. */
async function valuesOf(page: Page, values: readonly [string, string]): Promise<void> {
  await go(page, "/leads");
  for (const [place, value] of values.entries()) {
    await page.getByLabel("Search leads").fill(names[place + 1] ?? "");
    await page.getByRole("row").filter({ hasText: value }).first().waitFor();
  }
}

const view = (page: Page, label: string) => page.getByRole("group", { name: "Which conflicts" }).getByText(label);

it("[CONF-4] somebody is asked to decide by a time, and finds it among theirs and the late ones", async () => {
  await go(dana.page, "/conflicts");
  await dana.page.getByRole("list", { name: "Conflicts" }).getByRole("link").first().waitFor();
  expect(await dana.page.getByRole("list", { name: "Conflicts" }).getByRole("link").count()).toBe(3);
  await dana.page.getByRole("link", { name: new RegExp(`^${names[0]}`) }).click();
  await dana.page.getByLabel("Who decides").selectOption({ label: "Milo Manager" });
  await dana.page.getByLabel("Due").fill("2026-01-02T10:00");
  await untilSync(dana.page, "saved");
  await go(dana.page, "/conflicts?q=mine");
  // Milo was asked about one of the three, so two are left that Dana has a side in.
  await view(dana.page, "Mine").getByText("2").waitFor();
  await go(milo.page, "/conflicts?q=overdue");
  await milo.page.getByRole("link", { name: new RegExp(`^${names[0]}.*Overdue`) }).waitFor();
  await milo.page.getByText(/For you, was due/).waitFor();
});

it("[CONF-4] a value of one's own is previewed in the whole record, a wrong one with what is wrong, and then decides", async () => {
  const { page } = milo;
  await page.getByRole("link", { name: new RegExp(`^${names[0]}`) }).click();
  await page.getByRole("button", { name: "Write it yourself: Estimated value" }).click();
  const own = page.getByRole("textbox", { name: "Estimated value, written" });
  await own.fill("many");
  await page.getByRole("alert").filter({ hasText: "Estimated value" }).waitFor();
  expect(await page.getByRole("button", { name: "Use this combination" }).isDisabled()).toBe(true);
  await own.fill("4650");
  const whole = page.locator("section").filter({ hasText: "The lead afterwards" });
  await whole.getByText(/4,650/).waitFor();
  await whole.getByText("Qualification").first().waitFor();
  await page.getByRole("button", { name: "Use this combination" }).click();
  await page.getByText("Conflict decided").waitFor();
  await untilSync(page, "saved");
  await go(dana.page, "/leads");
  await dana.page.getByLabel("Search leads").fill(names[0] ?? "");
  await dana.page.getByRole("row").filter({ hasText: "4,650" }).first().waitFor();
});

it("[CONF-4] [CONF-5] many are decided in one step, offline, and taken back in one", async () => {
  const { page, context } = milo;
  await context.setOffline(true);
  await go(page, "/conflicts");
  await view(page, "Open").getByText("2").waitFor();
  await page.getByRole("checkbox", { name: "All", exact: true }).check();
  await page.getByText("2 chosen").waitFor();
  await page.getByRole("button", { name: "Use the other side" }).click();
  await page.getByText("2 conflicts decided").waitFor();
  await page.getByText("Nothing to decide").waitFor();
  await context.setOffline(false);
  await untilSync(page, "saved");
  await valuesOf(dana.page, ["5,400", "5,600"]);
  const told = page.getByRole("dialog").filter({ hasText: "2 conflicts decided" });
  await told.getByRole("button", { name: "Undo" }).click();
  await page.getByText("2 decisions taken back").waitFor();
  await untilSync(page, "saved");
  await valuesOf(dana.page, ["4,300", "4,500"]);
});

it("[CONF-5] a single decision is taken back from its page", async () => {
  const { page } = dana;
  await go(page, "/conflicts?q=decided");
  await page.getByRole("link", { name: new RegExp(`^${names[1]}`) }).first().click();
  await page.getByRole("button", { name: "Decide the other way" }).click();
  await page.getByText("Now: the side of").waitFor();
  await untilSync(page, "saved");
  await go(milo.page, "/leads");
  await milo.page.getByLabel("Search leads").fill(names[1] ?? "");
  await milo.page.getByRole("row").filter({ hasText: "5,400" }).first().waitFor();
});
