/** What a person waits for in the console itself: from signing in to everything there, then scrolling and filtering it. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { openBrowser, PASSWORD } from "./browser.mjs";

const WAIT_MS = 180_000;
const SCROLLS = 120;
const SCROLL_PX = 4_000;
const WORDS = ["interest 7", "person 4242", "bench", "interest 3 of person 99"];

/** `note(what, figure, aim)` takes each figure. `dist`: a built console to measure instead of the one in the server. */
export async function measureConsole(url, email, leads, note, dist) {
  // A service worker would answer with the console of the server.
  const browser = await openBrowser("about:blank", dist === undefined ? {} : { serviceWorkers: "block" });
  const { tab } = browser;
  try {
    await tab.addInitScript(observe);
    if (dist !== undefined) {
      await tab.context().route(`${url}/**`, (route) => serveFrom(dist, route));
    }
    await tab.goto(url);
    await tab.getByLabel("E-mail").fill(email);
    await tab.getByLabel("Password").fill(PASSWORD);
    const rows = tab.locator("[data-index]");
    const answered = tab.waitForResponse((response) => response.url().endsWith("/api/auth/login"), { timeout: WAIT_MS });
    await tab.getByRole("button", { name: "Sign in" }).click();
    await answered;
    const [started, startedMs] = [performance.now(), Date.now()];
    note("console: sign-in answered → first rows of leads", seconds((await firstRowsMs(tab)) - startedMs), "1 s");
    await tab.locator('[data-sync="saved"]').first().waitFor({ timeout: WAIT_MS });
    await tab.getByRole("grid", { name: "Leads" }).and(tab.locator(`[aria-rowcount]`)).first().waitFor();
    await tab.waitForFunction((count) => document.querySelector("[role=grid]")?.ariaRowCount > count, leads, { timeout: WAIT_MS });
    note("console: everything there and in the list", seconds(performance.now() - started), "10 s");
    await note.longest(tab, "console: while loading");
    note("console: memory of the tab", `${(await browser.heapMb()).toFixed(0)} MB`);
    await scroll(tab, rows);
    await note.longest(tab, "console: scrolling through the list");
    const took = await type(tab);
    note("console: keystroke → list filtered, beyond the pause of 120 ms", took);
    await note.longest(tab, "console: filtering");
    const againMs = Date.now();
    await tab.reload({ waitUntil: "commit" });
    note("console: loaded anew → first rows", seconds((await firstRowsMs(tab)) - againMs), "1 s");
    await note.longest(tab, "console: starting on the full store");
  } finally {
    await browser.close();
  }
}

/** Answers what is a file of the console from a folder, as the server does from its binary. */
async function serveFrom(dist, route) {
  const { pathname } = new URL(route.request().url());
  const path = join(dist, pathname);
  if (pathname !== "/" && existsSync(path)) {
    await route.fulfill({ path });
  } else if (route.request().resourceType() === "document") {
    const answer = await route.fetch();
    await route.fulfill({ path: join(dist, "index.html"), headers: answer.headers() });
  } else {
    await route.fallback();
  }
}

/** The moment of the first frame with rows, in milliseconds since the epoch. The page notes it by itself: asking it takes time. */
async function firstRowsMs(tab) {
  const moment = await tab.waitForFunction(() => globalThis.seen?.rowsMs, undefined, { timeout: WAIT_MS });
  return moment.jsonValue();
}

/** Runs in the page, before its own scripts: what its longest tasks and frames are, and when there are rows. */
function observe() {
  const seen = { tasks: [], frames: [], rowsMs: undefined };
  globalThis.seen = seen;
  new PerformanceObserver((list) => {
    seen.tasks.push(...list.getEntries().map(({ duration }) => duration));
  }).observe({ type: "longtask", buffered: true });
  let last = performance.now();
  const frame = (now) => {
    seen.frames.push(now - last);
    last = now;
    if (seen.rowsMs === undefined && document.querySelector("[data-index]") !== null) {
      seen.rowsMs = performance.timeOrigin + now;
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

/** The longest task and frame since it was asked last. */
export async function longest(tab) {
  return tab.evaluate(() => {
    const [tasks, frames] = [globalThis.seen.tasks.splice(0), globalThis.seen.frames.splice(0)];
    const most = (all) => all.reduce((one, other) => Math.max(one, other), 0);
    return { taskMs: most(tasks), frameMs: most(frames), stalls: tasks.length };
  });
}

async function scroll(tab, rows) {
  await longest(tab);
  await rows.first().hover();
  for (let index = 0; index < SCROLLS; index++) {
    await tab.mouse.wheel(0, index < SCROLLS / 2 ? SCROLL_PX : -SCROLL_PX);
    await new Promise((resolve) => setTimeout(resolve, 16));
  }
  await tab.evaluate(() => document.querySelector("[role=grid] > div:last-child")?.scrollTo(0, 0));
  await rows.first().waitFor();
}

/** Types words letter by letter, slow enough for each to count; the time until the number of hits stands. */
async function type(tab) {
  await longest(tab);
  const field = tab.getByLabel("Search leads");
  const took = [];
  for (const word of WORDS) {
    await field.fill("");
    await tab.waitForTimeout(400);
    for (const letter of word) {
      took.push(await tab.evaluate(filterBy, letter));
    }
  }
  const sorted = took.filter((ms) => ms !== undefined).sort((a, b) => a - b);
  const at = (share) => (sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN).toFixed(0);
  await field.fill("");
  return `p50 ${at(0.5)}, p99 ${at(0.99)} ms`;
}

/**
 * Runs in the page: types a letter and waits until the list is not changed any more; returns the time from the end of the pause
 * after typing to the last change.
 */
async function filterBy(letter) {
  const PAUSE_MS = 120;
  const input = document.querySelector('[aria-label="Search leads"], input[type=search]');
  const grid = document.querySelector("[role=grid]");
  let changedMs;
  const observer = new MutationObserver(() => {
    changedMs = performance.now();
  });
  observer.observe(grid?.closest("main") ?? document.body, { subtree: true, childList: true, characterData: true, attributes: true });
  const started = performance.now();
  const { set } = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value");
  set.call(input, input.value + letter);
  input.dispatchEvent(new Event("input", { bubbles: true }));
  const typedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS + 300));
  observer.disconnect();
  return changedMs === undefined || changedMs < typedMs + PAUSE_MS / 2 ? undefined : Math.max(changedMs - started - PAUSE_MS, 0);
}

function seconds(ms) {
  return `${(ms / 1_000).toFixed(2)} s`;
}
