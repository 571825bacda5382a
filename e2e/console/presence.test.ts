/** Two people at one record: each sees the other, and is warned before they write over one another. */

import type { Page } from "playwright-core";
import { it } from "vitest";
import { go, openFirst } from "../support/console.ts";
import { peopleOf, serverForFile } from "../support/people.ts";
import { MANAGER, OWNER } from "../support/server.ts";

const person = peopleOf(serverForFile());

it("[CONF-7] who looks at the same record is named, who changes it warns the other, and who leaves is gone", async () => {
  const [dana, milo] = [await person(OWNER), await person(MANAGER)];
  await openFirst(dana.page);
  await go(milo.page, new URL(dana.page.url()).pathname);
  await dana.page.getByText("Milo Manager looks at this too.").waitFor();
  await milo.page.getByText("Dana Demo looks at this too.").waitFor();
  await milo.page.getByRole("button", { name: /^Source: .*(Edit|Add)$/ }).click();
  await dana.page.getByText("Milo Manager is changing this now.").waitFor();
  await dana.page.getByRole("button", { name: /^Source: .*(Edit|Add)$/ }).click();
  await dana.page.getByText("Milo Manager is changing this record too.").waitFor();
  await milo.page.keyboard.press("Escape");
  await dana.page.getByText("Milo Manager looks at this too.").waitFor();
  await go(milo.page, "/leads");
  await dana.page.getByText("Milo Manager looks at this too.").waitFor({ state: "detached" });
});

it("[CONF-7] a field that is only open writes nothing over what somebody else saved, and one that was typed in asks", async () => {
  const [dana, milo] = [await person(OWNER), await person(MANAGER)];
  await openFirst(dana.page);
  await go(milo.page, new URL(dana.page.url()).pathname);
  const product = (page: Page) => page.getByRole("button", { name: /^Interested in: .*(Edit|Add)$/ });
  const save = async (page: Page, text: string): Promise<void> => {
    await product(page).click();
    await page.getByLabel("Interested in", { exact: true }).fill(text);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: `Interested in: ${text}. Edit` }).waitFor();
  };
  await product(dana.page).click();
  await save(milo.page, "Milo’s");
  await dana.page.getByText("This was changed meanwhile to “Milo’s”.").waitFor();
  await dana.page.getByRole("heading", { level: 1 }).click();
  await dana.page.getByRole("button", { name: "Interested in: Milo’s. Edit" }).waitFor();

  await product(dana.page).click();
  await dana.page.getByLabel("Interested in", { exact: true }).fill("Dana’s");
  await save(milo.page, "Milo’s again");
  await dana.page.getByText("This was changed meanwhile to “Milo’s again”.").waitFor();
  await dana.page.getByRole("heading", { level: 1 }).click();
  // Going elsewhere decides nothing.
  await dana.page.getByRole("button", { name: "Replace it" }).click();
  await milo.page.getByRole("button", { name: "Interested in: Dana’s. Edit" }).waitFor();
});
