/** What people do in the console, for tests. */

import type { Locator, Page } from "playwright-core";
import type { Browser } from "./browser.ts";
import { PASSWORD } from "./server.ts";

/** Opens the console and signs in. */
export async function signIn(page: Page, url: string, email: string, password = PASSWORD): Promise<void> {
  await page.goto(url);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Leads", level: 1 }).waitFor();
}

/** The indicator's state, such as `saved` or `offline`. */
export function indicator(page: Page): Locator {
  return page.locator("[data-sync]").first();
}

/** Waits until the indicator says a state. */
export async function untilSync(page: Page, kind: string, timeoutMs = 20_000): Promise<void> {
  await page.locator(`[data-sync="${kind}"]`).first().waitFor({ timeout: timeoutMs });
}

/** Goes to a screen without loading the page anew. */
export async function go(page: Page, path: string): Promise<void> {
  await page.evaluate((to) => {
    history.pushState({}, "", to);
    dispatchEvent(new PopStateEvent("popstate", { state: {} }));
  }, path);
}

/** Opens the first record of the list in front. */
export async function openFirst(page: Page): Promise<void> {
  await page.locator("[data-index]").first().click();
  await page.getByRole("link", { name: "Back" }).waitFor();
}

/** Changes a field of the record in front. */
export async function editField(page: Page, label: string, text: string): Promise<void> {
  await page.getByRole("button", { name: new RegExp(`^${label}: .*(Edit|Add)$`) }).click();
  await page.getByRole("textbox", { name: label, exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await page.getByText(`${label} saved`).first().waitFor();
}

/** Makes a lead of the list of leads. */
export async function newLead(page: Page, firstname: string): Promise<void> {
  await page.getByRole("button", { name: "New lead" }).click();
  await page.getByLabel("First name").fill(firstname);
  await page.getByRole("button", { name: "Add lead" }).click();
  await page.getByText("Lead added").first().waitFor();
}

/** Finds exactly one lead in the list of leads. */
export async function findLead(page: Page, text: string): Promise<void> {
  await page.getByLabel("Search leads").fill(text);
  await page.getByText(/^1 of /).waitFor();
}

/** Changes the first lead so that a rule of the server refuses it. */
export async function beRefused(page: Page): Promise<void> {
  await openFirst(page);
  await page.getByRole("button", { name: /^Qualification: .*Edit$/ }).click();
  await page.getByLabel("Qualification", { exact: true }).selectOption("disqualified");
  await untilSync(page, "rejected");
}

/**
 * Two people change the same amounts, neither having seen the other's: a conflict for each pair of values, about the leads that
 * are worth most. Returns their names. `dana` sends first.
 */
export async function disagree(
  dana: Pick<Browser, "page" | "context">,
  milo: Pick<Browser, "page" | "context">,
  values: readonly (readonly [dana: string, milo: string])[],
): Promise<readonly string[]> {
  await go(dana.page, "/leads?sort=value&desc=1");
  await dana.page.locator(`[data-index="${values.length - 1}"]`).waitFor();
  const ids = await Promise.all(
    values.map((_, place) => dana.page.locator(`[data-index="${place}"]`).getAttribute("data-id")),
  );
  const names: string[] = [];
  await dana.context.setOffline(true);
  await milo.context.setOffline(true);
  for (const [place, id] of ids.entries()) {
    for (const [side, { page }] of [dana, milo].entries()) {
      await go(page, `/leads/${id}`);
      await editField(page, "Estimated value", values[place]?.[side] ?? "");
    }
    names.push((await dana.page.getByRole("heading", { level: 1 }).textContent()) ?? "");
  }
  for (const { context, page } of [dana, milo]) {
    await context.setOffline(false);
    await untilSync(page, "saved");
  }
  return names;
}

/** The window in front. What was done is told in windows of its own, which are not meant. */
export function dialog(page: Page): Locator {
  return page.locator('[role="dialog"]:not([aria-modal="false"])');
}
