/** What the benchmark in a browser runs on: a filled server, the page with its script, and browsers of their own. */

import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const { chromium } = createRequire(root("apps/extension/package.json"))("playwright-core");
const { build } = createRequire(root("packages/sdk/package.json"))("esbuild");

const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
const OPERATIONS = 256;
const UPLOADS_AT_ONCE = 4;
export const PASSWORD = "syncline-demo";

/** Fills the demo workspace over REST. `email`: who does it. */
export async function fill(url, email, leads) {
  const headers = { "content-type": "application/json" };
  const ask = async (path, body) => {
    const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  };
  const { access_token } = await ask("/api/auth/login", { email, password: PASSWORD });
  headers.authorization = `Bearer ${access_token}`;
  const contacts = Array.from({ length: Math.max(Math.round(leads / 10), 1) }, () => randomUUID());
  const send = async (entity, count, fieldsOf) => {
    const starts = Array.from({ length: Math.ceil(count / OPERATIONS) }, (_, index) => index * OPERATIONS);
    const work = async () => {
      for (let start = starts.shift(); start !== undefined; start = starts.shift()) {
        const operations = Array.from({ length: Math.min(OPERATIONS, count - start) }, (_, index) => ({
          op: "create",
          ...fieldsOf(start + index),
        }));
        await ask(`/api/${entity}/bulk`, { atomic: true, operations });
      }
    };
    await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, work));
  };
  await send("contacts", contacts.length, (index) => ({
    id: contacts[index],
    fields: { firstname: `First ${index}`, lastname: `Last ${index}`, email: `person${index}@bench.example` },
  }));
  await send("leads", leads, (index) => ({
    fields: {
      contact_id: contacts[index % contacts.length],
      product_interest: `interest ${index % 10} of person ${index}`,
      lead_source: "bench",
      priority: ["low", "medium", "high"][index % 3],
      estimated_value: `${index % 1_000}.00`,
      external_id: `bench ${index}`,
    },
  }));
}

/** The page with its script, on an origin of its own. */
export async function servePage(port = 0) {
  const { exports } = createRequire(import.meta.url)(root("packages/sdk/package.json"));
  const source = ({ default: built }) => root(built.replace("./dist", "packages/sdk/src").replace(/js$/, "ts"));
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
    bundle: true,
    minify: process.env.BENCH_READABLE === undefined,
    write: false,
    format: "iife",
    target: "es2023",
    alias: Object.fromEntries(Object.entries(exports).map(([path, to]) => [`@syncline/sdk${path.slice(1)}`, source(to)])),
    nodePaths: [root("packages/sdk/node_modules")],
  });
  const script = outputFiles[0].contents;
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
    response.end(isScript ? script : '<!doctype html><title>bench</title><script src="/page.js"></script>');
  });
  await new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** A browser of its own, as another person has it. */
export async function openBrowser(url, options = {}) {
  const profile = mkdtempSync(join(tmpdir(), "syncline-bench-"));
  const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const background = ["--disable-background-timer-throttling", "--disable-renderer-backgrounding"];
  // A page that is answered from a folder counts as one of the internet, which may open no socket to this machine.
  const local = ["--disable-features=LocalNetworkAccessChecks"];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: BROWSER,
    headless: false,
    viewport: { width: 1440, height: 900 },
    ...options,
    args: [...args, ...quiet, ...background, ...local],
  });
  const tab = context.pages()[0] ?? (await context.newPage());
  await tab.goto(url);
  const cdp = await context.newCDPSession(tab);
  await cdp.send("Performance.enable");
  return {
    tab,
    cdp,
    call: (name, ...given) => tab.evaluate(([method, values]) => globalThis.bench[method](...values), [name, given]),
    reload: () => tab.reload(),
    /** Megabytes of the tab's heap after a collection. */
    heapMb: async () => {
      await cdp.send("HeapProfiler.collectGarbage");
      const { metrics } = await cdp.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "JSHeapUsedSize").value / 2 ** 20;
    },
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
