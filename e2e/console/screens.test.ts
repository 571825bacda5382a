/** Every screen in light and dark, on a desk and on a phone: pictures for people, and what a program can check of them. */

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBrowser } from "../support/browser.ts";
import { go, signIn, untilSync } from "../support/console.ts";
import { MANAGER, OWNER, type Server, startServer } from "../support/server.ts";

const FOLDER = fileURLToPath(new URL("../../target/screenshots/", import.meta.url));
const SCREENS = [
  "leads",
  "board",
  "contacts",
  "opportunities",
  "tasks",
  "conflicts",
  "rejected",
  "import",
  "export",
  "people",
  "devices",
  "messages",
  "webhooks",
  "monitoring",
  "audit",
  "settings",
];
const LISTS = ["leads", "contacts", "opportunities"];
const DEVICES = [
  ["desktop", { width: 1280, height: 800 }],
  ["phone", { width: 375, height: 760, isPhone: true }],
] as const;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-/;

let server: Server;

beforeAll(async () => {
  server = await startServer();
  mkdirSync(FOLDER, { recursive: true });
  await makeConflict();
});
afterAll(() => server.stop());

const cases = DEVICES.flatMap(([device, size]) => (["light", "dark"] as const).map((theme) => ({ device, size, theme })));

it.each(cases)("[WEB-1] screens on a $device, $theme", async ({ device, size, theme }) => {
  const browser = await openBrowser({ ...size, theme });
  const { page } = browser;
  const shoot = async (name: string): Promise<void> => {
    await page.screenshot({ path: `${FOLDER}${name}-${device}-${theme}.png` });
    expect.soft(await page.locator("body").innerText(), `${name} shows no id`).not.toMatch(UUID);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect.soft(overflow, `${name} is no wider than the screen`).toBeLessThanOrEqual(0);
  };
  await page.goto(server.url);
  await page.getByRole("button", { name: "Sign in" }).waitFor();
  await shoot("sign-in");
  await signIn(page, server.url, OWNER);
  await untilSync(page, "saved");
  for (const screen of SCREENS) {
    await go(page, `/${screen}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await page.getByText(/^Loading /).waitFor({ state: "detached" });
    if (screen === "monitoring") {
      await page.getByText("Write queue").waitFor();
    }
    await shoot(screen);
    if (LISTS.includes(screen)) {
      await page.locator("[data-index]").first().click();
      await page.getByRole("link", { name: "Back" }).waitFor();
      await shoot(screen.replace(/ies$/, "y").replace(/s$/, ""));
    }
  }
  await shootDialogs(page, shoot, device);
  expect(browser.complaints).toEqual([]);
  await browser.close();
}, 180_000);

/** What is over or behind a screen: dialogs, the drawer, a conflict, history, the steps of an import. */
async function shootDialogs(page: Page, shoot: (name: string) => Promise<void>, device: string): Promise<void> {
  await go(page, "/leads");
  await page.getByRole("button", { name: "New lead" }).click();
  await page.getByRole("dialog").waitFor();
  await settle(page);
  await shoot("new-lead");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.locator("[data-index]").nth(1).click();
  await page.getByRole("tab", { name: "History" }).click();
  await page.getByRole("tabpanel").getByRole("listitem").first().waitFor();
  await page.getByRole("tab", { name: "History" }).scrollIntoViewIfNeeded();
  await shoot("history");
  await page.locator("[data-sync]").first().click();
  await settle(page);
  await shoot("indicator");
  await page.keyboard.press("Escape");
  if (device === "phone") {
    await page.getByRole("button", { name: "More", exact: true }).click();
    await settle(page);
    await shoot("drawer");
    await page.keyboard.press("Escape");
  }
  await go(page, "/conflicts");
  await page.getByRole("list", { name: "Conflicts" }).getByRole("link").first().click();
  await page.getByRole("table", { name: "Both sides" }).waitFor();
  await settle(page);
  await shoot("conflict");
  await go(page, "/import");
  const csv = "First name,Surname,E-mail,Deal value,Closing date\nIda,Holm,ida@import.example,1200.50,2026-12-01\nBo,,no address,,\n";
  await page.getByLabel("CSV file").setInputFiles({ name: "leads.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await page.getByText("leads.csv · 2 rows").waitFor();
  await shoot("import-mapping");
  await page.getByRole("heading", { name: "Preview" }).scrollIntoViewIfNeeded();
  await shoot("import-preview");
}

/** Waits until what slides and fades is there. */
async function settle(page: Page): Promise<void> {
  await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== "running"));
}

/** A conflict to look at: two people change the same amount, one of them without having seen the other's. */
async function makeConflict(): Promise<void> {
  const [dana, milo] = [await openBrowser(), await openBrowser()];
  for (const [{ page }, email] of [
    [dana, OWNER],
    [milo, MANAGER],
  ] as const) {
    await signIn(page, server.url, email);
    await untilSync(page, "saved");
  }
  await dana.page.locator("[data-index]").nth(1).click();
  await dana.page.getByRole("link", { name: "Back" }).waitFor();
  await go(milo.page, new URL(dana.page.url()).pathname);
  await milo.page.getByRole("link", { name: "Back" }).waitFor();
  for (const [{ page, context }, value] of [
    [dana, "4100"],
    [milo, "5200"],
  ] as const) {
    await context.setOffline(true);
    await page.getByRole("button", { name: /^Estimated value: .*Edit$/ }).click();
    await page.getByRole("textbox", { name: "Estimated value", exact: true }).fill(value);
    await page.keyboard.press("Enter");
    await page.getByText("Estimated value saved").first().waitFor();
  }
  for (const { context, page } of [dana, milo]) {
    await context.setOffline(false);
    await untilSync(page, "saved");
  }
  await milo.page.getByText(/1 conflict about this record waits/).waitFor();
  await dana.close();
  await milo.close();
}
