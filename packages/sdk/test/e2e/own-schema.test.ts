/** Types of somebody else's declaration, written by `syncline schema types`, as their compiler sees them. */

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { PROGRAM } from "./server.ts";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const SHOP = `
version = 1
roles = { owner = 50, clerk = 10 }
[entities.orders]
tier = "normal"
scope = ["workspace"]
create = "clerk"
update = "clerk"
delete = "owner"
[entities.orders.fields]
name = { type = "text", required = true, format = "not_blank" }
state = { type = "choice", choices = ["open", "paid"], default = "open" }
total = { type = "decimal", precision = 12, scale = 2, server_only = true }
`;
const USE = `
import { Client, type Query } from "@syncline/sdk";
import { memory } from "@syncline/sdk/memory";
import { shopSchema } from "./shop/schema.ts";
import type { ShopEntities } from "./shop/types.ts";

export async function pay(client: Client<ShopEntities>, id: string): Promise<string | undefined> {
  await client.db.orders.update(id, { state: "paid" });
  // @ts-expect-error no such choice
  await client.db.orders.update(id, { state: "stolen" });
  // @ts-expect-error the server writes it
  await client.db.orders.update(id, { total: "1.00" });
  // @ts-expect-error an order has a name
  await client.db.orders.create({});
  return (await client.db.orders.get(id))?.fields.total;
}
export const open = (server: string) =>
  Client.open<ShopEntities>({
    server,
    schema: shopSchema,
    store: memory(),
    mode: "web_app",
    deviceName: "shop",
  });
export type OrderQuery = Query;
`;

const folder = mkdtempSync(join(PACKAGE, "test", "own-schema-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("[SDK-1] `db.orders.update(id, {…})` is checked by the compiler", () => {
  const declaration = join(folder, "shop.toml");
  writeFileSync(declaration, SHOP);
  execFileSync(PROGRAM, ["schema", "types", declaration, "--name", "shop", "--out", join(folder, "shop")]);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "use.ts"), USE);
  const config = { extends: "../../tsconfig.json", include: ["."] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
  const compiled = spawnSync("npx", ["tsc", "--noEmit", "-p", folder], { cwd: PACKAGE, encoding: "utf8" });
  expect(compiled.stdout + compiled.stderr).toBe("");
  expect(compiled.status).toBe(0);
});
