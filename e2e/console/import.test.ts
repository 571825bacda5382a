/** A file as long as the list of another system; `SYNCLINE_TEST_IMPORT_ROWS` sets how long. */

import { expect, it } from "vitest";
import { dialog, findLead, go, untilSync } from "../support/console.ts";
import { ownerForEach, serverForFile } from "../support/people.ts";
import { askAs, OWNER } from "../support/server.ts";

const ROWS = Number(process.env.SYNCLINE_TEST_IMPORT_ROWS ?? 10_000);
const COUNT = ROWS.toLocaleString("en");
const ALL = (ROWS + 200).toLocaleString("en");
/** Far more than it takes: a machine that tests may be slow. */
const PATIENCE_MS = 400_000;

const server = serverForFile();
const dana = ownerForEach(server);

it(
  "[IMP-1] many rows are imported while one looks at something else, add up, and are taken back after a reload",
  async () => {
    const { page } = dana;
    const seconds = (sinceMs: number): string => `${((performance.now() - sinceMs) / 1_000).toFixed(1)} s`;
    await go(page, "/import");
    const rows = Array.from({ length: ROWS }, (_, row) => `Row ${row},Import,row${row}@import.example,${row}.50`);
    const csv = `First name,Surname,E-mail,Deal value\n${rows.join("\n")}\n`;
    await page
      .getByLabel("CSV file")
      .setInputFiles({ name: "many.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
    const startedMs = performance.now();
    await page.getByRole("button", { name: `Import ${COUNT} rows` }).click();
    await page.getByRole("heading", { name: "Importing" }).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("heading", { name: "Paused" }).waitFor();
    await page.getByRole("button", { name: "Go on" }).click();
    // Another screen, and back: it has gone on.
    await go(page, "/leads");
    await page.getByRole("heading", { name: "Leads", level: 1 }).waitFor();
    await go(page, "/import");
    await page.getByRole("heading", { name: "Done" }).waitFor({ timeout: PATIENCE_MS });
    console.log(`${COUNT} rows taken by the device after ${seconds(startedMs)}`);
    await untilSync(page, "saved", PATIENCE_MS);
    console.log(`and by the server after ${seconds(startedMs)}`);
    expect(await page.locator("dl dd").allTextContents()).toEqual([COUNT, COUNT, "0", "0"]);
    const answer = await askAs(server, OWNER, `/api/contacts?email=row${ROWS - 1}%40import.example`);
    expect(((await answer.json()) as { items: unknown[] }).items.length).toBe(1);
    await page.getByRole("button", { name: "Done", exact: true }).click();
    await go(page, "/leads");
    await page.getByText(ALL, { exact: true }).waitFor();
    // Each letter of a search over all of them is there at once.
    await findLead(page, `Row ${ROWS - 1}`);

    await page.goto(`${server.url}/import`);
    await page.getByText(`${COUNT} rows of ${COUNT} imported`).waitFor();
    const undoneMs = performance.now();
    await page.getByRole("button", { name: /^Take back many\.csv/ }).click();
    await dialog(page).getByRole("button", { name: "Take it back" }).click();
    await page.getByText("The import was taken back").waitFor({ timeout: PATIENCE_MS });
    console.log(`deleted on the device after ${seconds(undoneMs)}`);
    await untilSync(page, "saved", PATIENCE_MS);
    console.log(`and on the server after ${seconds(undoneMs)}`);
    await page.getByText("Taken back", { exact: true }).waitFor();
    await go(page, "/leads");
    await page.getByText("200", { exact: true }).waitFor();
    const left = await askAs(server, OWNER, `/api/contacts?email=row${ROWS - 1}%40import.example`);
    expect(((await left.json()) as { items: unknown[] }).items.length).toBe(0);
  },
  PATIENCE_MS * 4,
);
