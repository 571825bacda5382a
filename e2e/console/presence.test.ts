/** Two people at one record: each sees the other, and is warned before they write over one another. */

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
