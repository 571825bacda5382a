/** Every screen in light and dark, on a desk and on a phone: pictures for people, and what a program can check of them. */

import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openBrowser } from "../support/browser.ts";
import { go, signIn, untilSync } from "../support/console.ts";
import { OWNER, type Server, startServer } from "../support/server.ts";

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
  expect(browser.complaints).toEqual([]);
  await browser.close();
}, 120_000);
