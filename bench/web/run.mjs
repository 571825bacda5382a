/**
 * `cargo xtask bench web`: what a person waits for in a browser with 100,000 leads. `--leads N` for other numbers, `--json`.
 * Needs `npm ci` in `packages/sdk` and `apps/extension`, Chromium (`CHROMIUM`) and a built server (`SYNCLINE_BIN`).
 */

import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startServer } from "../../e2e/extension/browser.mjs";

const root = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const { chromium } = createRequire(root("apps/extension/package.json"))("playwright-core");
const { build } = createRequire(root("packages/sdk/package.json"))("esbuild");

const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
const LEADS = Number(valueOf("--leads") ?? 100_000);
const CONTACTS = Math.max(Math.round(LEADS / 10), 1);
const OPERATIONS = 256;
const UPLOADS_AT_ONCE = 4;
const SAMPLES = 100;
const EDITS = 200;
const EDIT_PAUSE_MS = 10;
const PEOPLE = { owner: "demo@syncline.dev", other: "manager@syncline.dev" };

function valueOf(flag) {
  const index = process.argv.indexOf(flag);
  return index < 0 ? undefined : process.argv[index + 1];
}

/** Fills the demo workspace over REST. */
async function fill(url) {
  const headers = { "content-type": "application/json" };
  const ask = async (path, body) => {
    const response = await fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  };
  const { access_token } = await ask("/api/auth/login", { email: PEOPLE.owner, password: "syncline-demo" });
  headers.authorization = `Bearer ${access_token}`;
  const contacts = Array.from({ length: CONTACTS }, () => randomUUID());
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
  await send("contacts", CONTACTS, (index) => ({
    id: contacts[index],
    fields: { firstname: `First ${index}`, lastname: `Last ${index}`, email: `person${index}@bench.example` },
  }));
  await send("leads", LEADS, (index) => ({
    fields: {
      contact_id: contacts[index % CONTACTS],
      product_interest: `interest ${index % 10} of person ${index}`,
      lead_source: "bench",
      priority: ["low", "medium", "high"][index % 3],
      estimated_value: `${index % 1_000}.00`,
      external_id: `bench ${index}`,
    },
  }));
}

/** The page with its script, on an origin of its own. */
async function servePage() {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: "es2023",
    alias: {
      "@syncline/sdk": root("packages/sdk/src/index.ts"),
      "@syncline/sdk/crm": root("packages/sdk/src/crm/index.ts"),
      "@syncline/sdk/indexeddb": root("packages/sdk/src/storage/indexeddb.ts"),
    },
  });
  const script = outputFiles[0].contents;
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
    response.end(isScript ? script : '<!doctype html><title>bench</title><script src="/page.js"></script>');
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** A browser of its own, as another person has it. */
async function openBrowser(page) {
  const profile = mkdtempSync(join(tmpdir(), "syncline-bench-"));
  const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const background = ["--disable-background-timer-throttling", "--disable-renderer-backgrounding"];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: BROWSER,
    headless: false,
    args: [...args, ...quiet, ...background],
  });
  const tab = context.pages()[0] ?? (await context.newPage());
  await tab.goto(page);
  return {
    call: (name, ...given) => tab.evaluate(([method, values]) => globalThis.bench[method](...values), [name, given]),
    reload: () => tab.reload(),
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)];
}

function pair(values) {
  return `p50 ${percentile(values, 0.5).toFixed(1)}, p99 ${percentile(values, 0.99).toFixed(1)} ms`;
}

async function measure() {
  const figures = {};
  const note = (what, figure, aim) => {
    figures[what] = { figure, aim };
    console.log(`${what}: ${figure}${aim === undefined ? "" : ` (aim: ${aim})`}`);
  };
  const page = await servePage();
  const server = await startServer({ origin: page.url });
  const browsers = [];
  try {
    await fill(server.url);
    const first = await openBrowser(page.url);
    browsers.push(first);
    await first.call("open", server.url, PEOPLE.other);
    const shown = await first.call("load", true);
    note(`first screen of a new device with ${LEADS} leads`, `${(shown.screenMs / 1_000).toFixed(2)} s`, "1 s");
    note("the same until all is there, a sorted list open", `${(shown.wholeMs / 1_000).toFixed(1)} s`, "10 s");
    note("longest task meanwhile", `${shown.longestTaskMs.toFixed(0)} ms`);
    const second = await openBrowser(page.url);
    browsers.push(second);
    await second.call("open", server.url, PEOPLE.owner);
    const bare = await second.call("load", false);
    note("new device, no list open", `${(bare.wholeMs / 1_000).toFixed(1)} s`, "10 s");
    await second.reload();
    await second.call("open", server.url, PEOPLE.owner);
    note("first list after a restart on the full store", `${((await second.call("reopen")) / 1_000).toFixed(2)} s`, "1 s");
    await second.call("load", false);
    note("indexed question", pair(await second.call("indexed", SAMPLES)), "16 ms");
    note("keystroke to sorted list", pair(await second.call("typed", SAMPLES)), "16 ms");
    const watched = first.call("watch", EDITS);
    const ids = await second.call("ids", EDITS);
    const asked = await second.call("edit", ids, EDIT_PAUSE_MS);
    const seen = await watched;
    const took = Object.keys(asked).map((text) => seen[text] - asked[text]);
    note("edit in one browser to the list of the other", pair(took), "30 ms at p50");
  } finally {
    for (const browser of browsers) {
      await browser.close();
    }
    await server.stop("SIGKILL");
    server.remove();
    page.close();
  }
  return figures;
}

const figures = await measure();
console.log(execFileSync(process.execPath, [root("packages/sdk/scripts/size.mjs")], { encoding: "utf8" }).trim());
if (process.argv.includes("--json")) {
  console.log(JSON.stringify({ cpus: cpus().length, leads: LEADS, figures }));
}
