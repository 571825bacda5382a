/** "Five minutes in a browser" of the README, step by step, with the extension as `cargo xtask run` builds it. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import * as extension from "../extension/browser.mjs";
import { PAGES } from "../extension/pages.mjs";
import { openBrowser } from "../support/browser.ts";
import { signIn, untilSync } from "../support/console.ts";
import { MANAGER, OWNER, PASSWORD, startServer } from "../support/server.ts";

/** What a person waits for a captured lead to be in an open console. */
const CAPTURED_MS = 2_000;

let server;
let dana;
let milo;
let pages;

beforeAll(async () => {
  server = await startServer();
  pages = await extension.servePages(PAGES);
  dana = await extension.openBrowser();
  milo = await openBrowser();
});
afterAll(async () => {
  await dana?.close();
  await milo?.close();
  await pages?.close();
  await server?.stop();
});

async function openLead(page, name) {
  await page.getByLabel("Search leads").fill(name);
  await page.getByText(/^1 of /).waitFor();
  await page.locator("[data-index]", { hasText: name }).first().click();
  await page.getByRole("link", { name: "Back" }).waitFor();
}

async function choose(page, name) {
  await page.locator("[data-sync]").first().click();
  await page.getByRole("button", { name, exact: true }).click();
  await page.keyboard.press("Escape");
}

async function setValue(page, value) {
  await page.getByRole("button", { name: /^Estimated value: .*(Edit|Add)$/ }).click();
  await page.getByRole("textbox", { name: "Estimated value", exact: true }).fill(value);
  await page.keyboard.press("Enter");
  await page.getByText("Estimated value saved").first().waitFor();
}

it("[EXT-1] [CONF-4] [WEB-1] from sign-in to a captured, edited-offline, conflicted and resolved lead", async () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  for (const said of [OWNER, MANAGER, PASSWORD, "Work offline", "Go online", "Capture this page", "Use your side"]) {
    expect(readme).toContain(said);
  }
  const console_ = await dana.context.newPage();
  await signIn(console_, server.url, OWNER);
  await untilSync(console_, "saved");

  const connecting = await dana.openPopup(console_);
  await connecting.says(`Use ${server.url}`);
  await connecting.click("#use_front");
  await connecting.fill("#sign_in_email", OWNER);
  await connecting.fill("#sign_in_password", PASSWORD);
  await connecting.click("form[aria-label='Sign in'] .primary");
  await connecting.says("Everything is on the server.");
  await connecting.close();

  const page = await dana.context.newPage();
  await page.goto(`${pages.url}/profile`);
  const popup = await dana.openPopup(page);
  await popup.click("#capture");
  expect(await popup.valueOf("#lastname")).toBe("Hopper");
  const savedMs = performance.now();
  await popup.click("form .primary");
  await console_.getByText("201", { exact: true }).waitFor({ timeout: CAPTURED_MS });
  console.log(`captured and in the open console after ${(performance.now() - savedMs).toFixed(0)} ms`);
  await popup.close();
  await page.close();

  await signIn(milo.page, server.url, MANAGER);
  await untilSync(milo.page, "saved");
  await console_.bringToFront();
  for (const each of [console_, milo.page]) {
    await openLead(each, "Hopper");
    await choose(each, "Work offline");
    await untilSync(each, "offline");
  }
  await setValue(console_, "4100");
  await setValue(milo.page, "5200");
  await choose(console_, "Go online");
  await untilSync(console_, "saved");
  await choose(milo.page, "Go online");
  for (const each of [console_, milo.page]) {
    await each.getByText(/1 conflict about this record waits/).waitFor();
  }
  await milo.page.getByRole("link", { name: "Review" }).click();
  await milo.page.getByRole("radio", { name: /^Estimated value: You, .*5,200/ }).check();
  await milo.page.getByRole("button", { name: "Use your side" }).click();
  await milo.page.getByText("Conflict decided").waitFor();
  await console_.getByText(/1 conflict about this record waits/).waitFor({ state: "detached" });
  await console_.getByRole("button", { name: /^Estimated value: .*5,200.*Edit$/ }).waitFor();
  await console_.getByRole("tab", { name: "History" }).click();
  await console_.getByRole("tabpanel").getByText("Milo Manager").first().waitFor();
});
