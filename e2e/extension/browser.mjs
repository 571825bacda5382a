/** A browser with the extension in it, and a server, for as long as a test runs. */

import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const EXTENSION = fileURLToPath(new URL("../../apps/extension/", import.meta.url));
const { chromium } = createRequire(join(EXTENSION, "package.json"))("playwright-core");

const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
const SERVER = process.env.SYNCLINE_BIN ?? fileURLToPath(new URL("../../target/debug/syncline", import.meta.url));
const START_TIMEOUT_MS = 50_000;

/** Why the test cannot run here; `undefined`: it can. */
export function missing() {
  if (!existsSync(BROWSER)) {
    return `there is no Chromium at ${BROWSER}: install it, or name one in CHROMIUM`;
  }
  if (!existsSync(SERVER)) {
    return `there is no server at ${SERVER}: run \`cargo build\`, or name one in SYNCLINE_BIN`;
  }
  return existsSync(join(EXTENSION, "dist/manifest.json")) ? undefined : "the extension is not built: `npm run build`";
}

/** Starts the browser with the extension. */
export async function openBrowser() {
  const [extension, profile] = [join(EXTENSION, "dist"), mkdtempSync(join(tmpdir(), "syncline-profile-"))];
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: BROWSER,
    headless: false,
    args: [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--enable-unsafe-extension-debugging",
      `--disable-extensions-except=${extension}`,
      `--load-extension=${extension}`,
    ],
  });
  const worker = context.serviceWorkers()[0] ?? (await context.waitForEvent("serviceworker"));
  const id = new URL(worker.url()).host;
  const cdp = await context.browser().newBrowserCDPSession();
  return {
    context,
    id,
    origin: `chrome-extension://${id}`,
    /** Clicks the extension's button while `page` is in front, as a person does, and returns the popup. */
    openPopup: (page) => openPopup(cdp, id, page),
    /** Ends the service worker, as the browser does whenever it likes. */
    killWorker: async () => {
      const { targetInfos } = await cdp.send("Target.getTargets", { filter: [{ type: "service_worker" }] });
      const found = targetInfos.find(({ url }) => url.includes(id));
      if (found !== undefined) {
        await cdp.send("Target.closeTarget", { targetId: found.targetId });
      }
      return found !== undefined;
    },
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** A popup is no tab, so the test speaks with it by the browser's own protocol. */
async function openPopup(cdp, id, page) {
  await page.bringToFront();
  const { targetInfos } = await cdp.send("Target.getTargets", { filter: [{ type: "tab" }] });
  const tab = targetInfos.find(({ url }) => url === page.url());
  await cdp.send("Extensions.triggerAction", { id, targetId: tab.targetId });
  const popup = await until("the popup is open", () => popupOf(cdp, id), 5_000);
  const { sessionId } = await cdp.send("Target.attachToTarget", { targetId: popup.targetId, flatten: false });
  const waiting = new Map();
  const listener = ({ sessionId: from, message }) => {
    const answer = JSON.parse(message);
    if (from === sessionId) {
      waiting.get(answer.id)?.(answer);
      waiting.delete(answer.id);
    }
  };
  cdp.on("Target.receivedMessageFromTarget", listener);
  let sent = 0;
  const send = (method, params) =>
    new Promise((resolve) => {
      const message = { id: ++sent, method, params };
      waiting.set(message.id, resolve);
      void cdp.send("Target.sendMessageToTarget", { sessionId, message: JSON.stringify(message) });
    });
  /** Runs a function with JSON arguments in the popup and returns what it returns. */
  const run = async (work, ...args) => {
    const expression = `(${work})(...${JSON.stringify(args)})`;
    const { result, error } = await send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    const failure = error?.message ?? result?.exceptionDetails?.exception?.description;
    if (failure !== undefined) {
      throw new Error(`in the popup: ${failure}`);
    }
    return result.result.value;
  };
  const shows = (selector) => until(`${selector} is shown`, () => run(isShown, selector), 5_000);
  await shows("#capture");
  return {
    run,
    text: () => run(() => document.body.innerText),
    click: async (selector) => {
      await shows(selector);
      await run((wanted) => document.querySelector(wanted).click(), selector);
    },
    fill: async (selector, value) => {
      await shows(selector);
      await run(fill, selector, value);
    },
    valueOf: async (selector) => {
      await shows(selector);
      return run((wanted) => document.querySelector(wanted).value, selector);
    },
    /** Waits until the popup says this. */
    says: (text) =>
      until(
        `the popup says ${text}`,
        async () => ((await run(() => document.body.innerText)).includes(text) ? true : undefined),
        10_000,
      ),
    /** Writes pictures in light and dark for a person to look at; `look` is called in each. */
    shoot: async (name, look) => {
      for (const theme of ["light", "dark"]) {
        await send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: theme }] });
        const { result } = await send("Page.captureScreenshot", { format: "png" });
        writeFileSync(pictureOf(name, theme), Buffer.from(result.data, "base64"));
        await look(`${name}, ${theme}`);
      }
    },
    close: async () => {
      cdp.off("Target.receivedMessageFromTarget", listener);
      await cdp.send("Target.closeTarget", { targetId: popup.targetId });
      await until(
        "the popup is closed",
        async () => ((await popupOf(cdp, id)) === undefined ? true : undefined),
        5_000,
      );
    },
  };
}

/** Where the picture of a screen goes; those of the console are there too. */
export function pictureOf(name, theme) {
  const folder = fileURLToPath(new URL("../../target/screenshots/", import.meta.url));
  mkdirSync(folder, { recursive: true });
  return join(folder, `extension-${name}-${theme}.png`);
}

async function popupOf(cdp, id) {
  const { targetInfos } = await cdp.send("Target.getTargets", { filter: [{ type: "page" }] });
  return targetInfos.find(({ url }) => url === `chrome-extension://${id}/popup.html`);
}

/** Runs in the popup. */
function isShown(selector) {
  return document.querySelector(selector) === null ? undefined : true;
}

/** Runs in the popup: as typing does it, with the event that goes with it. */
function fill(selector, value) {
  const input = document.querySelector(selector);
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
}

/** Starts a server with demo data, which admits the extension by its id; `address` and `data` of an earlier one start that one again. */
export async function startServer({ data = mkdtempSync(join(tmpdir(), "syncline-e2e-")), listen = "127.0.0.1:0" } = {}) {
  const child = spawn(SERVER, ["serve", "--demo", "--data", data, "--listen", listen], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk) => {
    log = (log + chunk).slice(-4_000);
  });
  const url = await new Promise((resolve, reject) => {
    const fail = (why) => {
      child.kill("SIGKILL");
      reject(new Error(`${why}\n${log}`));
    };
    const timer = setTimeout(() => fail("the server did not start in time"), START_TIMEOUT_MS);
    child.once("exit", (code) => fail(`the server ended with ${code}`));
    createInterface(child.stdout).on("line", (line) => {
      const address = /listens on (http:\S+)/.exec(line)?.[1];
      if (address !== undefined) {
        clearTimeout(timer);
        resolve(address);
      }
    });
  });
  return {
    url,
    data,
    stop: async (signal) => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await ended;
    },
    remove: () => rmSync(data, { recursive: true, force: true }),
  };
}

/** Serves pages to capture, by path. */
export async function servePages(pages) {
  const server = createServer((request, response) => {
    const body = pages[new URL(request.url, "http://localhost").pathname];
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "text/html; charset=utf-8" });
    response.end(body ?? "nothing here");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return { url: `http://127.0.0.1:${port}`, close: () => new Promise((resolve) => server.close(resolve)) };
}

/** Asks the REST interface as the owner of the demo workspace. */
export async function restOf(url) {
  const ask = async (path, init = {}) => {
    const response = await fetch(`${url}${path}`, init);
    if (!response.ok) {
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    }
    return response.json();
  };
  const credentials = JSON.stringify({ email: "demo@syncline.dev", password: "syncline-demo" });
  const headers = { "content-type": "application/json" };
  const { access_token } = await ask("/api/auth/login", { method: "POST", headers, body: credentials });
  return (path) => ask(path, { headers: { authorization: `Bearer ${access_token}` } });
}

/** Waits until `probe` returns something that is not undefined, and returns it. */
export async function until(what, probe, timeoutMs) {
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) {
      return found;
    }
    if (performance.now() > endMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
