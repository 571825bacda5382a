/** Every screen in light and dark, on a desk and on a phone: pictures for people, and what a program can check of them. */

import { mkdirSync } from "node:fs";
import { createServer, type Server as Receiver } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { barriersOf } from "../support/axe.mjs";
import { type Browser, openBrowser } from "../support/browser.ts";
import { beRefused, dialog, disagree, go, openFirst, signIn, untilSync } from "../support/console.ts";
import { closeAll, openPerson, serverForFile } from "../support/people.ts";
import { askAs, MANAGER, OWNER, type Server, startServer } from "../support/server.ts";

const FOLDER = fileURLToPath(new URL("../../target/screenshots/", import.meta.url));
const SCREENS = [
  "leads",
  "board",
  "contacts",
  "opportunities",
  "tasks",
  "conflicts",
  "rejected",
  "import",
  "export",
  "contacts/duplicates",
  "people",
  "devices",
  "messages",
  "webhooks",
  "monitoring",
  "audit",
  "settings",
];
const LISTS = ["leads", "contacts", "opportunities"];
const DEVICES = [
  ["desktop", { width: 1280, height: 800 }],
  ["phone", { width: 375, height: 760, isPhone: true }],
] as const;
const THEMES = ["light", "dark"] as const;
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-/;
const EMPTY = ["leads", "board", "contacts", "opportunities", "tasks", "conflicts", "messages", "contacts/duplicates"];
const PATIENCE_MS = 600_000;

const server = serverForFile("[webhooks]\nis_private_allowed = true\n");
let receiver: Receiver;
/** A server that was started for the first time: all lists are empty. */
let empty: Server;

beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  empty = await startServer("", false);
  receiver = createServer((_, response) => void response.writeHead(500).end("no"));
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const people = [await openPerson(server, OWNER), await openPerson(server, MANAGER)] as const;
  await disagree(...people, [
    ["4100", "5200"],
    ["4300", "5400"],
    ["4500", "5600"],
  ]);
  await closeAll(people);
  await makeRecords();
}, 180_000);
afterAll(async () => {
  receiver.close();
  await empty.stop();
});

const cases = DEVICES.flatMap(([device, size]) => THEMES.map((theme) => ({ device, size, theme })));

it.each(cases)(
  "[WEB-1] screens on a $device, $theme",
  async ({ device, size, theme }) => {
    const browser = await openBrowser({ ...size, theme });
    const { page } = browser;
    const shoot = shooter(page, `${device}-${theme}`);
    await page.goto(server.url);
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await shoot("sign-in");
    await signIn(page, server.url, OWNER);
    await untilSync(page, "saved");
    for (const screen of SCREENS) {
      await show(page, screen);
      await shoot(screen);
      if (LISTS.includes(screen)) {
        await openFirst(page);
        await shoot(screen.replace(/ies$/, "y").replace(/s$/, ""));
      }
    }
    await shootStates(browser, shoot);
    await shootDialogs(page, shoot);
    await shootRecord(page, shoot, device === "phone");
    await shootConflicts(page, shoot);
    await shootImport(page, shoot);
    await closeAll([browser]);
    const first = await openBrowser({ ...size, theme });
    await signIn(first.page, empty.url, empty.owner?.email ?? "", empty.owner?.password);
    await untilSync(first.page, "saved");
    for (const screen of EMPTY) {
      await show(first.page, screen);
      await shooter(first.page, `${device}-${theme}`)(`empty-${screen}`);
    }
    await closeAll([first]);
  },
  PATIENCE_MS,
);

it("[WEB-1] where one is stays in sight in a low window", async () => {
  const browser = await openPerson(server, OWNER, { width: 1280, height: 560 });
  await go(browser.page, "/settings");
  await browser.page.getByRole("heading", { name: "Settings", level: 1 }).waitFor();
  const link = browser.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: "Settings" });
  const [own, list] = [await link.boundingBox(), await link.locator("xpath=ancestor::nav").boundingBox()];
  expect((own?.y ?? 0) + (own?.height ?? 0)).toBeLessThanOrEqual((list?.y ?? 0) + (list?.height ?? 0));
  await closeAll([browser]);
});

type Shoot = (name: string) => Promise<void>;

/** Takes pictures of a page, and looks for what must not be on any. */
function shooter(page: Page, suffix: string): Shoot {
  return async (name) => {
    await settle(page);
    await page.screenshot({ path: `${FOLDER}${name.replaceAll("/", "-")}-${suffix}.png` });
    expect.soft(await page.locator("body").innerText(), `${name} shows no id`).not.toMatch(UUID);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect.soft(overflow, `${name} is no wider than the screen`).toBeLessThanOrEqual(0);
    const tables = await page.locator("table").evaluateAll((all) =>
      all.map((table) => table.scrollWidth - (table.parentElement?.clientWidth ?? 0)),
    );
    expect.soft(Math.max(0, ...tables), `${name} shows its tables whole`).toBe(0);
    const run = (work: unknown): Promise<unknown> => page.evaluate(`(${work})()`);
    expect.soft(await barriersOf(run), `${name} keeps nobody out`).toEqual([]);
  };
}

async function show(page: Page, screen: string): Promise<void> {
  await go(page, `/${screen}`);
  await page.getByRole("heading", { level: 1 }).waitFor();
  await page.getByText(/^(Loading|Comparing) /).first().waitFor({ state: "detached" });
  if (screen === "monitoring") {
    await page.getByText("Write queue").waitFor();
  }
}

/** Waits until what slides and fades is there. */
async function settle(page: Page): Promise<void> {
  await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== "running"));
}

/** No network, an error, nothing there, and what was refused. */
async function shootStates({ page, context }: Browser, shoot: Shoot): Promise<void> {
  await show(page, "leads");
  await page.getByLabel("Search leads").fill("nobody is called like this");
  await page.getByText("No lead matches").waitFor();
  await shoot("no-match");
  await page.getByRole("button", { name: "Clear filters" }).click();
  await go(page, "/nowhere");
  await page.getByText("There is no such page").waitFor();
  await shoot("not-found");
  await show(page, "leads");
  await context.setOffline(true);
  await openFirst(page);
  await page.getByRole("button", { name: /^Source: .*(Edit|Add)$/ }).click();
  await page.getByRole("textbox", { name: "Source", exact: true }).fill(`a fair, ${Date.now() % 1_000}`);
  await shoot("editing");
  await page.keyboard.press("Enter");
  await page.getByText(/Offline · 1 change/).waitFor();
  await shoot("offline");
  await page.locator("[data-sync]").first().click();
  await shoot("offline-indicator");
  await page.keyboard.press("Escape");
  await go(page, "/devices");
  await page.getByText("Needs the network").waitFor();
  await shoot("error");
  await context.setOffline(false);
  await untilSync(page, "saved");
  await show(page, "leads");
  await beRefused(page);
  await show(page, "rejected");
  await page.getByText(/Say why the lead is disqualified/).waitFor();
  await shoot("rejected-mine");
  await page.getByRole("button", { name: "Everybody’s" }).click();
  await page.getByRole("article").first().waitFor();
  await shoot("rejected-everybodys");
  await page.getByRole("button", { name: "On this device" }).click();
  await page.getByRole("button", { name: "Discard" }).click();
  await shoot("dialog-discard");
  await dialog(page).getByRole("button", { name: "Discard" }).click();
  await untilSync(page, "saved");
}

/** Takes away what tells of former deeds. */
async function clearTold(page: Page): Promise<void> {
  for (const told of await page.locator('[role="dialog"][aria-modal="false"]').all()) {
    await told.getByRole("button", { name: "Dismiss" }).click({ timeout: 2_000 }).catch(() => undefined);
  }
}

/** Windows over a screen: how they are opened, and what they are called in the pictures. */
async function shootDialogs(page: Page, shoot: Shoot): Promise<void> {
  const dialogs: readonly (readonly [name: string, screen: string, open: () => Promise<void>])[] = [
    ["new-lead", "leads", () => page.getByRole("button", { name: "New lead" }).click()],
    ["new-contact", "contacts", () => page.getByRole("button", { name: "New contact" }).click()],
    ["new-opportunity", "opportunities", () => page.getByRole("button", { name: "New opportunity" }).click()],
    ["new-task", "tasks", () => page.getByRole("button", { name: "New task" }).click()],
    ["task", "tasks", () => page.getByRole("button", { name: "Ring the mill" }).click()],
    ["merge", "contacts/duplicates", () => page.getByRole("button", { name: "Merge …" }).first().click()],
    ["new-webhook", "webhooks", () => page.getByRole("button", { name: "Add webhook" }).click()],
    ["deliveries", "webhooks", () => page.getByRole("button", { name: /^Deliveries / }).first().click()],
    ["new-person", "people", () => page.getByRole("button", { name: "Add person" }).click()],
    ["dialog-withdraw", "people", () => page.getByRole("button", { name: "Withdraw access of Milo Manager" }).click()],
    ["dialog-rename", "devices", () => page.getByRole("button", { name: /^Rename / }).first().click()],
    ["dialog-revoke", "devices", () => page.getByRole("button", { name: /^Revoke / }).first().click()],
    ["message", "messages", () => page.getByRole("button", { name: /Ring the mill/ }).first().click()],
    ["dialog-everywhere", "settings", () => page.getByRole("button", { name: "Sign out everywhere" }).click()],
    ["shortcuts", "export", () => page.keyboard.press("?")],
  ];
  await clearTold(page);
  for (const [name, screen, open] of dialogs) {
    await show(page, screen);
    await open();
    await dialog(page).waitFor();
    await page.getByText(/^Loading /).first().waitFor({ state: "detached" });
    await shoot(name);
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
  }
}

/** What is around a record: its tabs, its menus, the indicator, the drawer of a phone. */
async function shootRecord(page: Page, shoot: Shoot, isPhone: boolean): Promise<void> {
  await show(page, "leads");
  await page.locator("[data-index]").nth(1).click();
  for (const [tab, name] of [
    ["Tasks", "lead-tasks"],
    ["History", "history"],
  ] as const) {
    await page.getByRole("tab", { name: tab }).click();
    await page.getByText(/^Loading /).first().waitFor({ state: "detached" });
    await page.getByRole("tab", { name: tab }).scrollIntoViewIfNeeded();
    await shoot(name);
  }
  await page.getByRole("button", { name: "Add a custom field" }).click();
  await dialog(page).waitFor();
  await shoot("new-custom-field");
  await page.keyboard.press("Escape");
  await dialog(page).waitFor({ state: "detached" });
  await page.getByRole("button", { name: /^More about / }).click();
  await page.getByRole("menuitem", { name: "Delete lead" }).click();
  await dialog(page).waitFor();
  await shoot("dialog-delete");
  await page.keyboard.press("Escape");
  await dialog(page).waitFor({ state: "detached" });
  await page.locator("[data-sync]").first().click();
  await shoot("indicator");
  await page.keyboard.press("Escape");
  if (isPhone) {
    await page.getByRole("button", { name: "More", exact: true }).click();
    await shoot("drawer");
    await page.keyboard.press("Escape");
  }
}

async function shootConflicts(page: Page, shoot: Shoot): Promise<void> {
  await show(page, "conflicts");
  await page.getByRole("checkbox", { name: "All", exact: true }).check();
  await page.getByText("3 chosen").waitFor();
  await shoot("conflicts-chosen");
  await page.getByRole("list", { name: "Conflicts" }).getByRole("link").first().click();
  await page.getByRole("table", { name: "Both sides" }).waitFor();
  await shoot("conflict");
}

const ROWS = [
  "First name,Surname,E-mail,Deal value,Closing date",
  "Ida,Holm,ida@import.example,1200.50,2026-12-01",
  "Bo,,no address,,",
  "Ea,Lund,ea@import.example,many,",
  ",,,,",
  "Ulf,Dahl,ulf@import.example,90,2026-11-30",
];

/** The steps of an import, one with mistakes in it, and its undo. */
async function shootImport(page: Page, shoot: Shoot): Promise<void> {
  await show(page, "import");
  const buffer = Buffer.from(`${ROWS.join("\n")}\n`);
  await page.getByLabel("CSV file").setInputFiles({ name: "leads.csv", mimeType: "text/csv", buffer });
  await page.getByText("leads.csv · 4 rows").waitFor();
  await shoot("import-mapping");
  await page.getByRole("heading", { name: "Preview" }).scrollIntoViewIfNeeded();
  await shoot("import-preview");
  await page.getByRole("button", { name: "Import 2 rows" }).click();
  await page.getByRole("heading", { name: "Done" }).waitFor();
  await shoot("import-done");
  await page.getByRole("button", { name: "Done", exact: true }).click();
  await page.getByRole("heading", { name: "Imported on this device" }).waitFor();
  await shoot("import-recent");
  await page.getByRole("button", { name: /^Take back leads\.csv/ }).first().click();
  await dialog(page).getByRole("button", { name: "Take it back" }).click();
  await page.getByText("The import was taken back").waitFor();
  await untilSync(page, "saved");
}

const HOUR_MS = 3_600_000;

/** Tasks of every group, messages, a webhook that fails, people who are there twice, and one person more. */
async function makeRecords(): Promise<void> {
  const post = async (path: string, body: object, email = OWNER): Promise<void> => {
    const answer = await askAs(server, email, path, body);
    expect(answer.ok, `${path}: ${await answer.text()}`).toBe(true);
  };
  await post("/api/admin/users", { name: "Nora New", email: "nora@syncline.dev", role: "viewer", read_scope: "own" });
  for (const [title, hours, priority] of [
    ["Send the offer", -50, "urgent"],
    ["Ring the mill", -2, "high"],
    ["Write the minutes", 0.2, "medium"],
    ["Prepare the visit", 30, "medium"],
    ["Order samples", 100, "low"],
    ["Renew the contract", 900, "low"],
  ] as const) {
    await post("/api/tasks", { title, priority, due_at: new Date(Date.now() + hours * HOUR_MS).toISOString() });
  }
  const { port } = receiver.address() as AddressInfo;
  const hook = { direction: "outgoing", name: "Telephone system", url: `http://127.0.0.1:${port}/ring` };
  await post("/api/admin/webhooks", { ...hook, events: ["contacts.*"] });
  for (const contact of [
    { firstname: "Wendla", lastname: "Brandt", email: "wendla@mill.example", company_name: "Mill" },
    { firstname: "Wendla", lastname: "Brandt-Moe", email: "Wendla@Mill.example", phone_number: "+47 22 33 44 55" },
    { firstname: "W.", lastname: "Brandt", phone_number: "0047 22 33 44 55", city: "Bergen" },
    { firstname: "Otto", lastname: "Lind", company_name: "Lind & Co" },
    { firstname: "otto", lastname: "Lind", company_name: "Lind & Co", job_title: "Owner" },
  ]) {
    await post("/api/contacts", contact);
  }
  const me = (await (await askAs(server, OWNER, "/api/admin/users?limit=100")).json()) as {
    items: { user_id: string; email: string }[];
  };
  const dana = me.items.find(({ email }) => email === OWNER)?.user_id;
  const note = { message_type: "note", ttl_ms: HOUR_MS };
  await post("/api/messages", { ...note, to: { user: dana }, payload: { text: "Ring the mill" } }, MANAGER);
  const closed = { message_type: "note", to: { user: dana }, payload: { text: "The office is closed on Friday" } };
  await post("/api/messages", { ...closed, ttl_ms: HOUR_MS }, MANAGER);
}
