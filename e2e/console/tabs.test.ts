/** Tabs that browsers freeze, and storage that they delete. */

import type { Page } from "playwright-core";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Browser } from "../support/browser.ts";
import { findLead, newLead, signIn, untilSync } from "../support/console.ts";
import { openPerson, serverForFile } from "../support/people.ts";
import { OWNER } from "../support/server.ts";

const server = serverForFile();
/** Whose tabs may complain: their storage is taken from under them. */
let browser: Browser;

beforeEach(async () => {
  browser = await openPerson(server, OWNER);
});
afterEach(() => browser.close());

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
  await findLead(leader, "Frozen");
  await newLead(leader, "Thawed");
  await untilSync(leader, "saved");
  await follower.bringToFront();
  await findLead(follower, "Thawed");
  await findLead(follower, "Frozen");
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
  await findLead(page, "Kept");
});
