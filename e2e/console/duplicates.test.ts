/** Contacts that are there twice: found, merged in one step, and taken back. */

import { expect, it } from "vitest";
import { dialog, go, untilSync } from "../support/console.ts";
import { ownerForEach, serverForFile } from "../support/people.ts";
import { askAs, OWNER } from "../support/server.ts";

const server = serverForFile();
const dana = ownerForEach(server);

async function make(path: string, body: object): Promise<string> {
  const answer = await askAs(server, OWNER, path, body);
  expect(answer.ok, await answer.clone().text()).toBe(true);
  return ((await answer.json()) as { id: string }).id;
}

async function contactOf(id: string): Promise<Record<string, unknown> | undefined> {
  const answer = await askAs(server, OWNER, `/api/contacts/${id}`);
  return answer.ok ? ((await answer.json()) as Record<string, unknown>) : undefined;
}

it("[IMP-1] the same person twice is found, merged with everything about them, and taken back after a reload", async () => {
  const first = await make("/api/contacts", { firstname: "Wendla", lastname: "Brandt", email: "wendla@mill.example" });
  const second = await make("/api/contacts", {
    firstname: "Wendla",
    lastname: "Brandt-Moe",
    email: "Wendla@Mill.example",
    phone_number: "+47 22 33 44 55",
  });
  const lead = await make("/api/leads", { contact_id: second, product_interest: "Flour" });
  const { page } = dana;
  await go(page, "/contacts");
  await page.getByRole("link", { name: "Duplicates" }).click();
  const group = page.getByRole("region", { name: "Wendla Brandt, Wendla Brandt-Moe" });
  await group.getByText("Same e-mail").waitFor();
  await group.getByRole("button", { name: "Merge …" }).click();
  const window = dialog(page);
  // The one that has a lead is proposed; a person may want the other.
  await window.getByRole("radio", { name: /^Wendla Brandt wendla@/ }).check();
  await window.getByText("1 lead moves to the contact that stays.").waitFor();
  await window.getByText("1 contact is deleted.").waitFor();
  await window.getByRole("radio", { name: "Last name: Brandt-Moe" }).check();
  await window.getByRole("button", { name: "Merge 2 contacts" }).click();
  await page.getByText("2 contacts merged").waitFor();
  await page.getByText("No duplicates").waitFor();
  await untilSync(page, "saved");
  expect(await contactOf(first)).toMatchObject({ lastname: "Brandt-Moe", phone_number: "+47 22 33 44 55" });
  expect(await contactOf(second)).toBeUndefined();
  const moved = (await (await askAs(server, OWNER, `/api/leads/${lead}`)).json()) as { contact_id: string };
  expect(moved.contact_id).toBe(first);

  await page.goto(`${server.url}/contacts/duplicates`);
  await page.getByRole("button", { name: "Merged here" }).click();
  await page.getByRole("button", { name: "Take back the merge of Wendla Brandt" }).click();
  await page.getByText("The merge was taken back").waitFor();
  await untilSync(page, "saved");
  expect(await contactOf(first)).toMatchObject({ lastname: "Brandt" });
  expect(await contactOf(second)).toMatchObject({ lastname: "Brandt-Moe" });
  const back = (await (await askAs(server, OWNER, `/api/leads/${lead}`)).json()) as { contact_id: string };
  expect(back.contact_id).toBe(second);
  await page.getByRole("button", { name: /^To look at/ }).click();
  await group.getByRole("button", { name: "Not the same" }).click();
  await page.getByText("No duplicates").waitFor();
  await page.reload();
  await page.getByText("No duplicates").waitFor();
});
