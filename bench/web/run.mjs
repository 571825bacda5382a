/**
 * `cargo xtask bench web`: what a person waits for in a browser with 100,000 leads. `--leads N` for other numbers, `--only`
 * with some of `plain,whole,console`, `--console FOLDER` with a built console instead of the server's, `--json`.
 * Needs `npm ci` in `packages/sdk` and `apps/extension`, Chromium (`CHROMIUM`) and a built server with the console
 * (`SYNCLINE_BIN`).
 */

import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { startServer } from "../../e2e/extension/browser.mjs";
import { fill, openBrowser, root, servePage } from "./browser.mjs";
import { longest, measureConsole } from "./console.mjs";

const LEADS = Number(valueOf("--leads") ?? 100_000);
const ONLY = (valueOf("--only") ?? "plain,whole,console").split(",");
const SAMPLES = 100;
const EDITS = 500;
const EDIT_PAUSE_MS = 10;
const IMPORTED = 10_000;
const PEOPLE = { owner: "demo@syncline.dev", other: "manager@syncline.dev" };

function valueOf(flag) {
  const index = process.argv.indexOf(flag);
  return index < 0 ? undefined : process.argv[index + 1];
}

function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)];
}

function pair(values) {
  return `p50 ${percentile(values, 0.5).toFixed(1)}, p99 ${percentile(values, 0.99).toFixed(1)} ms`;
}

const figures = {};
function note(what, figure, aim) {
  figures[what] = { figure, aim };
  console.log(`${what}: ${figure}${aim === undefined ? "" : ` (aim: ${aim})`}`);
}
note.longest = async (tab, what) => {
  const { taskMs, frameMs, stalls } = await longest(tab);
  note(`${what}: longest task, longest frame`, `${taskMs.toFixed(0)}, ${frameMs.toFixed(0)} ms; ${stalls} tasks above 50 ms`);
};

/** The SDK by itself on a page. `isWhole`: sealed and in tabs, as the console has it. */
async function measurePage(page, server, isWhole) {
  const name = isWhole ? "sealed, in tabs" : "plain";
  const browsers = [];
  try {
    const first = await openBrowser(page.url);
    browsers.push(first);
    await first.call("open", server.url, isWhole);
    const shown = await first.call("load", PEOPLE.other, true);
    note(`${name}: first screen of a new device`, `${(shown.screenMs / 1_000).toFixed(2)} s`, "1 s");
    note(`${name}: everything there, a sorted list open`, `${(shown.wholeMs / 1_000).toFixed(2)} s`, "10 s");
    note(`${name}: longest task meanwhile`, `${shown.longestTaskMs.toFixed(0)} ms`);
    note(`${name}: memory of the tab`, `${(await first.heapMb()).toFixed(0)} MB`);
    const second = await openBrowser(page.url);
    browsers.push(second);
    await second.call("open", server.url, isWhole);
    const bare = await second.call("load", PEOPLE.owner, false);
    note(`${name}: everything there, no list open`, `${(bare.wholeMs / 1_000).toFixed(2)} s`, "10 s");
    note(`${name}: memory of the tab, no list open`, `${(await second.heapMb()).toFixed(0)} MB`);
    await second.reload();
    const reopened = await second.call("reopen", server.url, isWhole);
    note(`${name}: first list after a restart on the full store`, `${(reopened / 1_000).toFixed(2)} s`, "1 s");
    note(`${name}: indexed question`, pair(await second.call("indexed", SAMPLES)), "16 ms");
    note(`${name}: keystroke to sorted list`, pair(await second.call("typed", SAMPLES)), "16 ms");
    const mark = name.slice(0, 5);
    await first.call("watch", mark);
    const ids = await second.call("ids", EDITS);
    const asked = await second.call("edit", ids, mark, EDIT_PAUSE_MS);
    const seen = await first.call("seen", EDITS);
    const took = Object.keys(asked).map((text) => seen[text] - asked[text]);
    note(`${name}: edit in one browser to the list of the other`, pair(took), "30 ms");
    note(`${name}: the first edit of a program`, `${took[0].toFixed(1)} ms`);
    const { localMs, sentMs } = await second.call("import", mark, IMPORTED);
    note(`${name}: ${IMPORTED} contacts durable on the device`, `${(localMs / 1_000).toFixed(1)} s`);
    note(`${name}: the same decided by the server`, `${(sentMs / 1_000).toFixed(1)} s`, "60 s");
  } finally {
    for (const browser of browsers) {
      await browser.close();
    }
  }
}

const page = await servePage();
// The page is of another origin than the server, as an extension is.
process.env.ALLOWED_ORIGINS = page.url;
const server = await startServer();
try {
  await fill(server.url, PEOPLE.owner, LEADS);
  if (ONLY.includes("console")) {
    await measureConsole(server.url, PEOPLE.owner, LEADS, note, valueOf("--console"));
  }
  for (const name of ONLY.filter((each) => each !== "console")) {
    await measurePage(page, server, name === "whole");
  }
} finally {
  await server.stop("SIGKILL");
  server.remove();
  page.close();
}
console.log(execFileSync(process.execPath, [root("packages/sdk/scripts/size.mjs")], { encoding: "utf8" }).trim());
if (process.argv.includes("--json")) {
  console.log(JSON.stringify({ cpus: cpus().length, leads: LEADS, figures }));
}
