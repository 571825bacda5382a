/** A file of many rows, as the list of another system is; with `SYNCLINE_TEST_IMPORT_ROWS=10000` as long as one. */

import { afterAll, beforeAll, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.ts";
import { go, signIn, untilSync } from "../support/console.ts";
import { OWNER, type Server, startServer, tokenOf } from "../support/server.ts";

const ROWS = Number(process.env.SYNCLINE_TEST_IMPORT_ROWS ?? 1_000);
const COUNT = ROWS.toLocaleString("en");
const ALL = (ROWS + 200).toLocaleString("en");
/** Far more than it takes: a machine that tests may be slow. */
const PATIENCE_MS = 400_000;

let server: Server;
let browser: Browser;

beforeAll(async () => {
  server = await startServer();
  browser = await openBrowser();
});
afterAll(async () => {
  expect(browser.complaints).toEqual([]);
  await browser.close();
  await server.stop();
});

it(
  "[IMP-1] many rows are imported while one looks at something else, and the numbers add up",
  async () => {
    const { page } = browser;
    await signIn(page, server.url, OWNER);
    await untilSync(page, "saved");
    await go(page, "/import");
    const rows = Array.from({ length: ROWS }, (_, row) => `Row ${row},Import,row${row}@import.example,${row}.50`);
    const csv = `First name,Surname,E-mail,Deal value\n${rows.join("\n")}\n`;
    await page
      .getByLabel("CSV file")
      .setInputFiles({ name: "many.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
    const startedMs = performance.now();
    await page.getByRole("button", { name: `Import ${COUNT} rows` }).click();
    await page.getByRole("heading", { name: "Importing" }).waitFor();
    // Another screen, and back: it has gone on.
    await go(page, "/leads");
    await page.getByRole("heading", { name: "Leads", level: 1 }).waitFor();
    await go(page, "/import");
    await page.getByRole("heading", { name: "Done" }).waitFor({ timeout: PATIENCE_MS });
    console.log(`${COUNT} rows taken by the device after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
    await untilSync(page, "saved", PATIENCE_MS);
    console.log(`and by the server after ${((performance.now() - startedMs) / 1_000).toFixed(1)} s`);
    expect(await page.locator("dl dd").allTextContents()).toEqual([COUNT, COUNT, "0", "0"]);
    const answer = await fetch(`${server.url}/api/contacts?email=row${ROWS - 1}%40import.example`, {
      headers: { authorization: `Bearer ${await tokenOf(server, OWNER)}` },
    });
    expect(((await answer.json()) as { items: unknown[] }).items.length).toBe(1);
    await page.getByRole("button", { name: "Done", exact: true }).click();
    await go(page, "/leads");
    await page.getByText(ALL, { exact: true }).waitFor();
    // Each letter of a search over all of them is there at once.
    await page.getByLabel("Search leads").pressSequentially(`Row ${ROWS - 1}`);
    await page.getByText(`1 of ${ALL}`, { exact: true }).waitFor();
  },
  PATIENCE_MS * 2,
);
