/** What an administrator looks after: messages, webhooks, everybody's rejected changes, devices, deleted records. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { beRefused, go, openFirst, untilSync } from "../support/console.ts";
import { openPerson, ownerForEach, serverForFile } from "../support/people.ts";
import { AGENT, askAs, MANAGER, OWNER } from "../support/server.ts";

const server = serverForFile("[webhooks]\nis_private_allowed = true\n");
const dana = ownerForEach(server);

it("[WEB-1] a message that reached nobody is found, and sent again", async () => {
  const { page } = dana;
  const users = (await (await askAs(server, OWNER, "/api/admin/users?limit=100")).json()) as { items: { user_id: string; email: string }[] };
  const agent = users.items.find(({ email }) => email === AGENT);
  const sent = await askAs(server, MANAGER, "/api/messages", {
    message_type: "note",
    to: { user: agent?.user_id },
    payload: { text: "Ring the mill" },
    ttl_ms: 1_000,
  });
  expect(sent.status, await sent.clone().text()).toBe(201);
  await go(page, "/messages");
  await page.getByRole("button", { name: "Everybody’s" }).click();
  await page.getByText("Ring the mill").waitFor();
  await page.getByRole("button", { name: "Not delivered" }).click();
  await expect
    .poll(
      async () => {
        await page.getByRole("button", { name: "Everybody’s" }).click();
        await page.getByRole("button", { name: "Not delivered" }).click();
        await page.getByText(/Everything was delivered|Ring the mill/).first().waitFor();
        return page.getByText("Ring the mill").count();
      },
      { timeout: 45_000, interval: 1_000 },
    )
    .toBe(1);
  await page.getByRole("button", { name: "Send again" }).click();
  await page.getByText("Sent again").first().waitFor();
  await page.getByText("Everything was delivered").waitFor();
});

it("[WEB-1] a webhook is made, told of a change, and a delivery that failed is tried again", async () => {
  const { page } = dana;
  let answer = 500;
  const heard: string[] = [];
  const receiver = createServer((request, response) => {
    request.on("data", () => undefined).on("end", () => {
      heard.push(request.url ?? "");
      response.writeHead(answer).end();
    });
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  const { port } = receiver.address() as AddressInfo;
  await go(page, "/webhooks");
  await page.getByRole("button", { name: "Add webhook" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Telephone");
  await dialog.getByLabel("Address").fill(`http://127.0.0.1:${port}/ring`);
  await dialog.getByLabel("Told of").fill("contacts.created");
  await dialog.getByRole("button", { name: "Add webhook" }).click();
  await dialog.getByText("It is shown only now.").waitFor();
  await dialog.getByRole("button", { name: "Done" }).click();
  expect((await askAs(server, OWNER, "/api/contacts", { firstname: "Wendla" })).status).toBe(201);
  await expect.poll(() => heard.length, { timeout: 20_000 }).toBeGreaterThan(0);
  await page.getByRole("button", { name: /^Deliveries / }).click();
  await page.getByText("Contacts created").first().waitFor();
  answer = 200;
  await page.getByRole("button", { name: "Try again" }).first().click();
  await expect
    .poll(
      async () => {
        await page.keyboard.press("Escape");
        await page.getByRole("button", { name: /^Deliveries / }).click();
        await page.getByText("Contacts created").first().waitFor();
        return page.getByText("Delivered", { exact: true }).count();
      },
      { timeout: 20_000, interval: 500 },
    )
    .toBe(1);
  receiver.close();
});

it("[SYNC-3] an administrator sees what was refused of others, with its values and its reason", async () => {
  const { page } = dana;
  const other = await openPerson(server, AGENT);
  await beRefused(other.page);
  await go(page, "/rejected");
  await page.getByRole("button", { name: "Everybody’s" }).click();
  const card = page.getByRole("article").filter({ hasText: "Anna Agent" }).first();
  await card.getByText(/Say why the lead is disqualified/).waitFor();
  await card.getByText("Disqualified", { exact: true }).waitFor();
  await go(page, "/devices");
  await page.getByText(/2 connected now/).waitFor();
  await other.close();
});

it("[CONF-5] a deleted lead is brought back from its address", async () => {
  const { page } = dana;
  await openFirst(page);
  const path = new URL(page.url()).pathname;
  const name = (await page.getByRole("heading", { level: 1 }).textContent()) ?? "";
  await page.getByRole("button", { name: `More about ${name}` }).click();
  await page.getByRole("menuitem", { name: "Delete lead" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("199", { exact: true }).waitFor();
  await untilSync(page, "saved");
  await go(page, path);
  await page.getByText(/Dana Demo deleted it/).waitFor();
  await page.getByRole("button", { name: "Bring it back" }).click();
  await page.getByRole("heading", { level: 1, name }).waitFor();
  expect(await page.title()).toBe(`${name} · Syncline`);
});

it("[WEB-1] whoever goes to another screen is there with the keyboard too", async () => {
  const { page } = dana;
  await page.getByRole("link", { name: "Contacts" }).click();
  await page.getByRole("heading", { name: "Contacts", level: 1 }).waitFor();
  expect(await page.title()).toBe("Contacts · Syncline");
  expect(await page.evaluate(() => document.activeElement?.id)).toBe("content");
});
