/** The contract of stores in the browser's own IndexedDB: what the SDK's tests run on an imitation holds in Chromium too. */

import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Browser, openBrowser } from "../support/browser.ts";

const SDK = fileURLToPath(new URL("../../packages/sdk", import.meta.url));
const SUITE = `
import { cases } from "./src/storage/contract.ts";
import { indexedDb } from "./src/storage/indexeddb.ts";
import { sealed } from "./src/storage/sealed.ts";

globalThis.runContract = async () => {
  const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  const adapters = {
    IndexedDB: (name) => indexedDb({ name }),
    "sealed IndexedDB": (name) => sealed(indexedDb({ name }), key),
  };
  const results = [];
  for (const [adapter, open] of Object.entries(adapters)) {
    for (const { name, run } of cases()) {
      const database = adapter + " " + name;
      const broken = await run(() => ({ open: open(database), isDurable: true })).then(() => undefined, String);
      results.push({ adapter, name, broken });
    }
  }
  return results;
};
`;

let server: Server;
let browser: Browser;

beforeAll(async () => {
  const flags = ["--bundle", "--format=iife", "--target=chrome110", "--loader=ts"];
  const script = execFileSync("node_modules/.bin/esbuild", flags, { cwd: SDK, input: SUITE, encoding: "utf8" });
  server = createServer((request, response) => {
    const isScript = request.url === "/suite.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><title>stores</title><script src="/suite.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  server?.close();
});

it("[inv 11] IndexedDB passes the contract of stores in a real browser, sealed and plain", async () => {
  const { port } = server.address() as AddressInfo;
  await browser.page.goto(`http://127.0.0.1:${port}/`);
  type Result = { readonly adapter: string; readonly name: string; readonly broken?: string };
  const results = await browser.page.evaluate(
    () => (globalThis as unknown as { runContract(): Promise<Result[]> }).runContract(),
  );
  expect(results.filter(({ broken }) => broken !== undefined)).toEqual([]);
  expect(results.length).toBeGreaterThan(20);
});
