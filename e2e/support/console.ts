/** What people do in the console, for tests. */

import type { Locator, Page } from "playwright-core";
import { PASSWORD } from "./server.ts";

/** Opens the console and signs in. */
export async function signIn(page: Page, url: string, email: string): Promise<void> {
  await page.goto(url);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(PASSWORD);
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
