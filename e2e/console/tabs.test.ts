/** Tabs that browsers freeze, and storage that they delete. */

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.ts";
import { signIn, untilSync } from "../support/console.ts";
import { OWNER, type Server, startServer } from "../support/server.ts";

let server: Server;
let browser: Browser;

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  browser = await openBrowser();
  await signIn(browser.page, server.url, OWNER);
  await untilSync(browser.page, "saved");
});
afterEach(() => browser.close());

async function newLead(page: Page, firstname: string): Promise<void> {
  await page.getByRole("button", { name: "New lead" }).click();
  await page.getByLabel("First name").fill(firstname);
  await page.getByRole("button", { name: "Add lead" }).click();
  await page.getByText("Lead added").first().waitFor();
}

async function find(page: Page, firstname: string): Promise<void> {
  await page.getByLabel("Search leads").fill(firstname);
  await page.getByText(/^1 of /).waitFor();
}

/** Deletes what this browser holds for the server, as one does that runs out of room. */
async function wipe(page: Page): Promise<void> {
  const session = await browser.context.newCDPSession(page);
  await session.send("Storage.clearDataForOrigin", { origin: server.url, storageTypes: "indexeddb" });
  await session.detach();
}

it("[SDK-1] a tab goes on when the leading one is frozen, and nothing is written twice when that wakes", async () => {
  const leader = browser.page;
  const follower = await browser.context.newPage();
  await follower.goto(server.url);
  await untilSync(follower, "saved");
  const session = await browser.context.newCDPSession(leader);
  await follower.bringToFront();
  await session.send("Page.setWebLifecycleState", { state: "frozen" });
  await newLead(follower, "Frozen");
  await untilSync(follower, "saved");
  await session.send("Page.setWebLifecycleState", { state: "active" });
  await leader.bringToFront();
  await untilSync(leader, "saved");
  await find(leader, "Frozen");
  await newLead(leader, "Thawed");
  await untilSync(leader, "saved");
  await follower.bringToFront();
  await find(follower, "Thawed");
  await find(follower, "Frozen");
});

it("[SDK-1] storage that is wiped between two visits is noticed, and loaded anew after signing in", async () => {
  const { page } = browser;
  await page.goto("about:blank");
  await wipe(page);
  await page.goto(server.url);
  await page.getByText("The browser has deleted the copy on this device").first().waitFor();
  await signIn(page, server.url, OWNER);
  await untilSync(page, "saved");
  expect(await page.getByRole("row").count()).toBeGreaterThan(10);
});

it("[SDK-1] storage that is wiped while the console is open loses nothing that the server has, and says so", async () => {
  const { page } = browser;
  await newLead(page, "Kept");
  await untilSync(page, "saved");
  await wipe(page);
  await page.reload();
  await page.getByText("The browser has deleted the copy on this device").first().waitFor();
  await page.getByText(/Nothing was lost/).first().waitFor();
  await signIn(page, server.url, OWNER);
  await untilSync(page, "saved");
  await find(page, "Kept");
});
