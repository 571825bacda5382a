/** What a sales person does in a day. */

import { expect, it } from "vitest";
import { beRefused, dialog, editField, go, openFirst, untilSync } from "../support/console.ts";
import { ownerForEach, peopleOf, serverForFile } from "../support/people.ts";
import { askAs, OWNER, PASSWORD } from "../support/server.ts";

const server = serverForFile();
const dana = ownerForEach(server);
const person = peopleOf(server);

it("[WEB-1] the list is worked with the keyboard alone", async () => {
  const { page } = dana;
  await page.keyboard.press("/");
  await page.keyboard.type("kestrel");
  await page.getByText(/ of 200$/).waitFor();
  expect(new URL(page.url()).searchParams.get("q")).toBe("kestrel");
  // The rows follow the typing a moment later.
  await page.locator('[data-index="0"]', { hasText: /kestrel/i }).waitFor();
  await page.locator('[data-index="1"]', { hasText: /kestrel/i }).waitFor();
  await page.locator("[data-index]").first().focus();
  await page.keyboard.press("ArrowDown");
  const second = await page.locator('[data-index="1"]').getAttribute("data-id");
  await page.keyboard.press("Enter");
  await page.getByRole("link", { name: "Back" }).waitFor();
  expect(new URL(page.url()).pathname).toBe(`/leads/${second}`);
  await page.keyboard.press("g");
  await page.keyboard.press("b");
  await page.getByRole("heading", { name: "Board", level: 1 }).waitFor();
});

it("[WEB-1] a card of the board moves with Shift and an arrow, and back with undo", async () => {
  const { page } = dana;
  await go(page, "/board");
  const card = page.getByRole("region", { name: "New" }).locator("[data-card]").first();
  const id = await card.getAttribute("data-card");
  await card.focus();
  await page.keyboard.press("Shift+ArrowRight");
  await page.getByRole("region", { name: "Contacted" }).locator(`[data-card="${id}"]`).waitFor();
  await page.getByRole("button", { name: "Undo" }).click();
  await page.getByRole("region", { name: "New" }).locator(`[data-card="${id}"]`).waitFor();
});

it("[CONF-5] a former version is restored from the history", async () => {
  const { page } = dana;
  await openFirst(page);
  await page.getByRole("button", { name: /^Source: .*(Edit|Add)$/ }).click();
  const source = page.getByRole("textbox", { name: "Source", exact: true });
  const before = await source.inputValue();
  await source.fill("a fair in Oslo");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Source: a fair in Oslo. Edit" }).waitFor();
  await untilSync(page, "saved");
  await page.getByRole("tab", { name: "History" }).click();
  await page.getByRole("button", { name: "Restore" }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Restore" }).click();
  await page.getByRole("button", { name: `Source: ${before}. Edit` }).waitFor();
});

it("[SYNC-3] what a rule refuses is shown with its reason and values, and is kept until it is discarded", async () => {
  const { page } = dana;
  await beRefused(page);
  await go(page, "/rejected");
  await page.getByText(/Say why the lead is disqualified/).waitFor();
  await page.getByRole("button", { name: "Discard" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Discard" }).click();
  await page.getByText("Nothing was rejected").waitFor();
  await untilSync(page, "saved");
});

it("[IMP-1] a file is mapped, previewed, imported and taken back", async () => {
  const { page } = dana;
  await go(page, "/import");
  const csv = "First name;Surname;E-mail;Deal value\nQuentin;Quist;quentin@example.com;1.500,00\nQuincy;;;\nQuilla;;no address;\n";
  await page.getByLabel("CSV file").setInputFiles({ name: "leads.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await page.getByText("leads.csv · 3 rows").waitFor();
  await page.getByText("Line 4").waitFor();
  await page.getByRole("button", { name: "Import 2 rows" }).click();
  await page.getByRole("heading", { name: "Done" }).waitFor();
  await untilSync(page, "saved");
  // Read, created, left out, failed.
  expect(await page.locator("dl dd").allTextContents()).toEqual(["3", "2", "0", "1"]);
  await page.getByRole("button", { name: "Take it back" }).click();
  await page.getByText("The import was taken back").waitFor();
  await go(page, "/leads");
  await page.getByText("200", { exact: true }).waitFor();
});

it("[WEB-1] a contact that is put away is out of the lists until it is taken out again", async () => {
  const { page } = dana;
  await go(page, "/contacts");
  await openFirst(page);
  const name = (await page.getByRole("heading", { level: 1 }).textContent()) ?? "";
  const menu = page.getByRole("button", { name: `More about ${name}` });
  await menu.click();
  await page.getByRole("menuitem", { name: "Archive contact" }).click();
  await page.getByText("Archived", { exact: true }).waitFor();
  await go(page, "/contacts");
  await page.getByLabel("Search contacts").fill(name);
  await page.getByText("No contact matches").waitFor();
  await go(page, "/contacts?filter=archived");
  await openFirst(page);
  expect(await page.getByRole("heading", { level: 1 }).textContent()).toContain(name);
  await menu.click();
  await page.getByRole("menuitem", { name: "Take out of the archive" }).click();
  await page.getByText("Archived", { exact: true }).waitFor({ state: "detached" });
  await go(page, "/contacts?filter=archived");
  await page.getByText("No contact matches").waitFor();
});

it("[WEB-1] what is told of lies on no button of a window", async () => {
  const { page } = dana;
  await openFirst(page);
  await editField(page, "Estimated value", "77");
  await editField(page, "Estimated value", "78");
  await go(page, "/leads");
  await page.getByRole("button", { name: "New lead" }).click();
  const add = page.getByRole("button", { name: "Add lead" });
  await add.scrollIntoViewIfNeeded();
  await add.click({ trial: true, timeout: 2_000 });
  expect(await page.getByText("Estimated value saved").first().isVisible(), "it is still told").toBe(true);
});

it("[WEB-1] a task is opened, changed, deleted and brought back, and leads to what it is about", async () => {
  const { page } = dana;
  await go(page, "/tasks");
  const tasks = page.getByRole("list", { name: "Tasks" });
  const first = tasks.getByRole("listitem").filter({ has: page.getByRole("checkbox") }).first();
  await first.getByRole("button").focus();
  await page.keyboard.press("Enter");
  await editField(page, "Title", "Send the plan of the hall");
  const opened = page.getByRole("dialog", { name: "Send the plan of the hall" });
  await opened.getByRole("button", { name: /^Status: .*Edit$/ }).click();
  await page.getByLabel("Status", { exact: true }).selectOption("canceled");
  await opened.getByRole("button", { name: "Status: Canceled. Edit" }).waitFor();
  await page.keyboard.press("Escape");
  await opened.waitFor({ state: "detached" });
  const changed = tasks.getByRole("listitem").filter({ hasText: "Send the plan of the hall" });
  await tasks.evaluate((list) => list.parentElement?.scrollTo(0, list.scrollHeight));
  await changed.getByText("Canceled").waitFor();
  await changed.getByRole("button").click();
  await opened.getByRole("button", { name: "Delete task" }).click();
  await dialog(page).getByRole("button", { name: "Delete", exact: true }).click();
  await changed.waitFor({ state: "detached" });
  await page.getByRole("dialog", { name: "Send the plan of the hall deleted" }).getByRole("button", { name: "Undo" }).click();
  await changed.waitFor();
  await untilSync(page, "saved");
  const subject = await changed.getByRole("link").textContent();
  await changed.getByRole("link").click();
  await page.getByRole("heading", { name: subject ?? "", level: 1 }).waitFor();
});

it("[SYNC-3] a deal is lost with its reason, and a refused change is completed and sent again", async () => {
  const { page } = dana;
  await go(page, "/opportunities");
  await page.getByLabel("Stage").selectOption({ label: "Discovery" });
  await openFirst(page);
  const stage = page.getByRole("combobox", { name: "Stage" });
  await stage.selectOption({ label: "Lost" });
  const why = page.getByRole("dialog", { name: "Why was it lost?" });
  await why.getByRole("button", { name: "Move to Lost" }).click();
  await why.getByRole("alert").waitFor();
  await why.getByLabel("Lost notes").fill("They build it themselves");
  await why.getByRole("button", { name: "Move to Lost" }).click();
  await page.getByRole("button", { name: "Lost notes: They build it themselves. Edit" }).waitFor();
  await untilSync(page, "saved");
  expect(await stage.locator("option:checked").textContent()).toBe("Lost");
  await go(page, "/leads");
  await beRefused(page);
  await go(page, "/rejected");
  await page.getByRole("button", { name: "Edit and send" }).click();
  // The rule asks for what the change did not touch.
  await page.getByLabel("Notes", { exact: true }).fill("No budget before next year");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByText("Nothing was rejected").waitFor();
  await untilSync(page, "saved");
});

it("[PRM-3] a viewer sees a lead, the board and the tasks, and nothing that would change them", async () => {
  const email = "vera@syncline.dev";
  const vera = { name: "Vera View", email, role: "viewer", password: PASSWORD };
  const made = await askAs(server, OWNER, "/api/admin/users", vera);
  expect(made.status, await made.clone().text()).toBe(201);
  const { page } = await person(email);
  const main = page.getByRole("main");
  await page.locator("[data-index]").first().waitFor();
  expect(await page.getByRole("button", { name: "New lead" }).count()).toBe(0);
  await openFirst(page);
  await main.getByText("Estimated value").waitFor();
  for (const role of ["button", "textbox", "combobox"] as const) {
    expect(await main.getByRole(role).allTextContents(), `of role ${role}`).toEqual([]);
  }
  await go(page, "/board");
  const card = page.getByRole("region", { name: "New" }).locator("[data-card]").first();
  const id = await card.getAttribute("data-card");
  expect(await card.getAttribute("draggable")).toBe("false");
  await card.focus();
  await page.keyboard.press("Shift+ArrowRight");
  await page.getByRole("region", { name: "New" }).locator(`[data-card="${id}"]`).waitFor();
  await go(page, "/tasks");
  expect(await main.getByRole("checkbox").first().isDisabled()).toBe(true);
  await go(page, "/import");
  await page.getByRole("heading", { name: "You may not import" }).waitFor();
  await untilSync(page, "saved");
});
