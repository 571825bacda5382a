/** Two people, no network, and what becomes of it when it is back. */

import { it } from "vitest";
import { editField, findLead, go, newLead, untilSync } from "../support/console.ts";
import { peopleOf, serverForFile } from "../support/people.ts";
import { MANAGER, OWNER } from "../support/server.ts";

const server = serverForFile();
const person = peopleOf(server);

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
    await findLead(milo.page, name);
  }
});
