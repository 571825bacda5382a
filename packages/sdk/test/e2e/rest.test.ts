/** Records over HTTP against the real server, beside a device that sees them. */

import { afterAll, beforeAll, expect, it } from "vitest";
import type { CrmEntities } from "../../src/crm/index.ts";
import { Rest } from "../../src/rest/rest.ts";
import { type Server, signedIn, startServer, until, value } from "./server.ts";

let server: Server;

beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
});

it("[API-1] creates, reads, changes, lists and deletes what devices see", async () => {
  const device = await signedIn(server, "demo@syncline.dev");
  await device.start();
  const rest = new Rest<CrmEntities>({ server: server.url, token: (renew) => device.token(renew) });
  const contacts = rest.entity("contacts");
  const made = value(await contacts.create({ firstname: "Rest", lastname: "Less", tags: ["rest"] }));
  await until("the device has it", async () => (await device.db.contacts.get(made?.id ?? "")) !== undefined);
  const changed = value(await contacts.update(made?.id ?? "", { city: "Leith" }, made?.rv));
  expect(changed?.city).toBe("Leith");
  expect(await contacts.update(made?.id ?? "", { city: "Oban" }, made?.rv)).toMatchObject({
    error: { problem: { code: "precondition_failed" } },
  });
  const writes = Array.from({ length: 5 }, (_, index) =>
    contacts.batched({ op: "create", fields: { firstname: `Batch ${index}`, lead_source: "batched" } }),
  );
  expect((await Promise.all(writes)).map((each) => value(each).outcome)).toEqual(Array(5).fill("applied"));
  const names: (string | undefined)[] = [];
  for await (const page of contacts.pages({ where: { lead_source: "batched" }, sort: "firstname", limit: 2 })) {
    names.push(...value(page).items.map(({ firstname }) => firstname));
  }
  expect(names).toEqual([0, 1, 2, 3, 4].map((index) => `Batch ${index}`));
  value(await contacts.delete(made?.id ?? ""));
  expect(await contacts.get(made?.id ?? "")).toMatchObject({ error: { problem: { code: "not_found" } } });
  expect(await rest.entity("contacts").list({ where: { no_such_field: "x" } as never })).toMatchObject({ ok: false });
  await device.close();
});
