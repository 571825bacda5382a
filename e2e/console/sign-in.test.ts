/** Coming in and going out. */

import { expect, it } from "vitest";
import { signIn, untilSync } from "../support/console.ts";
import { browserForEach, serverForFile } from "../support/people.ts";
import { OWNER } from "../support/server.ts";

const server = serverForFile();
const browser = browserForEach(server);

it("[AUTH-2] a wrong password is refused with words, the right one shows the leads", async () => {
  const { page } = browser;
  await page.goto(server.url);
  await page.getByLabel("E-mail").fill(OWNER);
  await page.getByLabel("Password").fill("not the password");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  expect(await page.getByRole("alert").textContent()).toMatch(/\w/);
  await signIn(page, server.url, OWNER);
  await untilSync(page, "saved");
  await page.getByText("200", { exact: true }).waitFor();
  expect(await page.getByRole("row").count()).toBeGreaterThan(10);
});

it("[WEB-1] a reload without a network shows the same records", async () => {
  const { page, context } = browser;
  await signIn(page, server.url, OWNER);
  await untilSync(page, "saved");
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  await context.setOffline(true);
  await page.reload();
  await untilSync(page, "offline");
  await page.getByText("200", { exact: true }).waitFor();
  await page.goto(`${server.url}/contacts`);
  await page.getByRole("heading", { name: "Contacts" }).waitFor();
  await context.setOffline(false);
  await untilSync(page, "saved");
});

it("[AUTH-6] signing out leaves nothing on the device", async () => {
  const { page } = browser;
  await signIn(page, server.url, OWNER);
  await untilSync(page, "saved");
  await page.getByRole("button", { name: /Dana Demo/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  await page.getByRole("heading", { name: "Sign in to Syncline" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Sign in to Syncline" }).waitFor();
});
