/** Two people at one record: each sees the other, and is warned before they write over one another. */

import { afterAll, beforeAll, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.ts";
import { go, signIn, untilSync } from "../support/console.ts";
import { MANAGER, OWNER, type Server, startServer } from "../support/server.ts";

let server: Server;
let dana: Browser;
let milo: Browser;

beforeAll(async () => {
  server = await startServer();
  [dana, milo] = [await openBrowser(), await openBrowser()];
  await signIn(dana.page, server.url, OWNER);
  await signIn(milo.page, server.url, MANAGER);
  await untilSync(dana.page, "saved");
  await untilSync(milo.page, "saved");
});
afterAll(async () => {
  expect([...dana.complaints, ...milo.complaints]).toEqual([]);
  await dana.close();
  await milo.close();
  await server.stop();
});

it("[CONF-7] who looks at the same record is named, who changes it warns the other, and who leaves is gone", async () => {
  await dana.page.locator("[data-index]").first().click();
  await dana.page.getByRole("link", { name: "Back" }).waitFor();
  await go(milo.page, new URL(dana.page.url()).pathname);
  await dana.page.getByText("Milo Manager looks at this too.").waitFor();
  await milo.page.getByText("Dana Demo looks at this too.").waitFor();
  await milo.page.getByRole("button", { name: /^Source: .*Edit$/ }).click();
  await dana.page.getByText("Milo Manager is changing this now.").waitFor();
  await dana.page.getByRole("button", { name: /^Source: .*Edit$/ }).click();
  await dana.page.getByText("Milo Manager is changing this record too.").waitFor();
  await milo.page.keyboard.press("Escape");
  await dana.page.getByText("Milo Manager looks at this too.").waitFor();
  await go(milo.page, "/leads");
  await dana.page.getByText("Milo Manager looks at this too.").waitFor({ state: "detached" });
});
