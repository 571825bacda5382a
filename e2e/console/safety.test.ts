/** Nothing a person typed is lost, made twice, or left behind. */

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, it } from "vitest";
import { beRefused, go, openFirst, untilSync } from "../support/console.ts";
import { ownerForEach, serverForFile } from "../support/people.ts";

const dana = ownerForEach(serverForFile());

/** Sends the form in front twice before anything can be shown in between, as an impatient Enter does. */
async function sendTwice(page: Page, selector: string): Promise<void> {
  await page.locator(selector).evaluate((form: HTMLFormElement) => {
    form.requestSubmit();
    form.requestSubmit();
  });
}

it("[SYNC-1] a form that is sent twice makes one record", async () => {
  const { page } = dana;
  await page.getByRole("button", { name: "New lead" }).click();
  await page.getByLabel("First name").fill("Twice");
  await sendTwice(page, "[role=dialog] form");
  await page.getByText("Lead added").first().waitFor();
  await page.getByLabel("Search leads").fill("Twice");
  await page.getByText(/^1 of /).waitFor();
  await openFirst(page);
  await page.getByLabel("What happened").fill("Said hello");
  await sendTwice(page, "form:has([aria-label='What happened'])");
  await page.getByRole("listitem").filter({ hasText: "Said hello" }).waitFor();
  await page.getByRole("tab", { name: "Tasks" }).click();
  await page.getByLabel("New task").fill("Call back");
  await sendTwice(page, "form:has([aria-label='New task'])");
  await page.getByRole("checkbox", { name: "Call back: done" }).waitFor();
  await untilSync(page, "saved");
  expect(await page.getByRole("checkbox", { name: "Call back: done" }).count()).toBe(1);
  await page.getByRole("tab", { name: "Activity" }).click();
  expect(await page.getByRole("listitem").filter({ hasText: "Said hello" }).count()).toBe(1);
});

it("[WEB-1] what was typed is saved by going elsewhere, and is there again after Escape closed the form", async () => {
  const { page } = dana;
  await openFirst(page);
  await page.getByRole("button", { name: /^Source: .*(Edit|Add)$/ }).click();
  await page.getByRole("textbox", { name: "Source", exact: true }).fill("a talk in Bergen");
  await page.getByLabel("What happened").click();
  await page.getByRole("button", { name: "Source: a talk in Bergen. Edit" }).waitFor();
  await page.getByLabel("What happened").fill("half a sent");
  await page.getByRole("tab", { name: "Tasks" }).click();
  await page.getByRole("tab", { name: "Activity" }).click();
  expect(await page.getByLabel("What happened").inputValue()).toBe("half a sent");

  await go(page, "/leads");
  await page.getByRole("button", { name: "New lead" }).click();
  await page.getByLabel("First name").fill("Halvard");
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", { name: "New lead" }).waitFor({ state: "detached" });
  await page.getByRole("button", { name: "New lead" }).click();
  expect(await page.getByLabel("First name").inputValue()).toBe("Halvard");
  await page.getByRole("dialog", { name: "New lead" }).getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "New lead" }).click();
  expect(await page.getByLabel("First name").inputValue()).toBe("");
});

it("[AUTH-6] signing out asks about what was rejected, gives a copy, and leaves nothing on the device", async () => {
  const { page } = dana;
  await beRefused(page);
  await page.getByRole("button", { name: /Dana Demo/ }).first().click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
  const dialog = page.getByRole("dialog").filter({ hasText: "could not accept" });
  await dialog.getByText(/1 change that the server could not accept/).waitFor();
  const coming = page.waitForEvent("download");
  await dialog.getByRole("button", { name: "Save a copy first" }).click();
  const copy = JSON.parse(readFileSync((await (await coming).path()) ?? "", "utf8")) as {
    rejected: { changes: { fields: object }[] }[];
  };
  expect(copy.rejected[0]?.changes[0]?.fields).toEqual({ qualification_status: "disqualified" });
  await dialog.getByRole("button", { name: "Sign out and lose them" }).click();
  await page.getByRole("heading", { name: "Sign in to Syncline" }).waitFor();

  // What may stay says nothing of anybody: the theme, the mark by which a deleted store is noticed, the device's key, and why the
  // store is empty.
  const known =
    /^localStorage syncline (theme|syncline console)$|^syncline console key\/keys \{\}$|^syncline console\/meta (\d|.*"purged":"signed_out")/;
  const left = await page.evaluate(async () => {
    const found: string[] = Object.keys(localStorage).map((key) => `localStorage ${key}`);
    for (const { name = "" } of await indexedDB.databases()) {
      const opened = await new Promise<IDBDatabase>((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      for (const store of opened.objectStoreNames) {
        const rows = await new Promise<unknown[]>((resolve, reject) => {
          const request = opened.transaction(store).objectStore(store).getAll();
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
        found.push(...rows.map((row) => `${name}/${store} ${JSON.stringify(row)}`));
      }
      opened.close();
    }
    return found;
  });
  const unexpected = left.filter((what) => !known.test(what));
  expect(unexpected).toEqual([]);
  expect(left.join("\n")).not.toMatch(/@|Dana|disqualified/);
});
