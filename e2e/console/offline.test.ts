/** Two people, no network, and what becomes of it when it is back. */

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.ts";
import { go, signIn, untilSync } from "../support/console.ts";
import { MANAGER, OWNER, type Server, startServer } from "../support/server.ts";

let server: Server;
const browsers: Browser[] = [];

beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.stop());
afterEach(async () => {
  for (const browser of browsers.splice(0)) {
    expect(browser.complaints).toEqual([]);
    await browser.close();
  }
});

/** A browser in which somebody is signed in and everything is loaded. */
async function person(email: string): Promise<Browser> {
  const browser = await openBrowser();
  browsers.push(browser);
  await signIn(browser.page, server.url, email);
  await untilSync(browser.page, "saved");
  await browser.page.evaluate(async () => void (await navigator.serviceWorker.ready));
  return browser;
}

async function editField(page: Page, label: string, text: string): Promise<void> {
  await page.getByRole("button", { name: new RegExp(`^${label}: .*Edit$`) }).click();
  await page.getByRole("textbox", { name: label, exact: true }).fill(text);
  await page.keyboard.press("Enter");
  await page.getByText(`${label} saved`).first().waitFor();
}

async function newLead(page: Page, firstname: string): Promise<void> {
  await page.getByRole("button", { name: "New lead" }).click();
  await page.getByLabel("First name").fill(firstname);
  await page.getByRole("button", { name: "Add lead" }).click();
  await page.getByText("Lead added").first().waitFor();
}

it("[SYNC-1] [SYNC-8] what was done offline reaches the other person when the network is back", async () => {
  const [dana, milo] = [await person(OWNER), await person(MANAGER)];
  await dana.context.setOffline(true);
  await newLead(dana.page, "Zebulon");
  await untilSync(dana.page, "offline");
  await dana.page.getByText(/Offline · 1 change/).waitFor();
  await dana.page.getByText("201", { exact: true }).waitFor();
  await dana.context.setOffline(false);
  await untilSync(dana.page, "saved");
  await milo.page.getByText("201", { exact: true }).waitFor();
  await milo.page.getByRole("row").filter({ hasText: "Zebulon" }).first().waitFor();
});

it("[CONF-4] a conflict that one person decides closes for the other, also when it is decided offline", async () => {
  const [dana, milo] = [await person(OWNER), await person(MANAGER)];
  await go(dana.page, "/leads?sort=value&desc=1");
  await dana.page.getByRole("row").nth(1).click();
  await dana.page.getByText("Qualification").waitFor();
  const path = new URL(dana.page.url()).pathname;
  await go(milo.page, path);
  await milo.page.getByText("Qualification").waitFor();
  await dana.context.setOffline(true);
  await milo.context.setOffline(true);
  await editField(dana.page, "Estimated value", "4100");
  await editField(milo.page, "Estimated value", "5200");
  await dana.context.setOffline(false);
  await untilSync(dana.page, "saved");
  await milo.context.setOffline(false);
  await milo.page.getByText(/1 conflict about this record waits/).waitFor();
  await dana.page.getByText(/1 conflict about this record waits/).waitFor();

  await milo.context.setOffline(true);
  await milo.page.getByRole("link", { name: "Review" }).click();
  await milo.page.getByRole("radio", { name: /Estimated value: You, €5,200/ }).check();
  const result = milo.page.getByRole("cell").filter({ hasText: "€5,200" }).last();
  await result.waitFor();
  await milo.page.getByRole("button", { name: "Use your side" }).click();
  await milo.page.getByText("Conflict decided").waitFor();
  await milo.context.setOffline(false);
  await untilSync(milo.page, "saved");
  await dana.page.getByText(/1 conflict about this record waits/).waitFor({ state: "detached" });
  await dana.page.getByRole("button", { name: "Estimated value: €5,200. Edit" }).waitFor();
});

it("[SYNC-3] a tab that is closed mid-sync loses nothing and sends nothing twice", async () => {
  const [dana, milo] = [await person(OWNER), await person(MANAGER)];
  await dana.context.setOffline(true);
  for (const name of ["Xantippe", "Xaviera", "Ximena"]) {
    await newLead(dana.page, name);
  }
  const second = await dana.context.newPage();
  await second.goto(server.url);
  await second.getByRole("heading", { name: "Leads", level: 1 }).waitFor();
  await dana.context.setOffline(false);
  await dana.page.close();
  await untilSync(second, "saved");
  for (const name of ["Xantippe", "Xaviera", "Ximena"]) {
    await milo.page.getByLabel("Search leads").fill(name);
    await milo.page.getByText(/^1 of /).waitFor();
  }
});
