/** The beginnings of tests: a server for a file, and people in front of browsers of their own. */

import type { BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type Browser, type BrowserOptions, openBrowser } from "./browser.ts";
import { signIn, untilSync } from "./console.ts";
import { OWNER, type Server, startServer } from "./server.ts";

/** A server with demo data for as long as the tests of a file run. `config`: as a file in TOML has it. */
export function serverForFile(config = ""): Pick<Server, "url"> {
  let server: Server | undefined;
  beforeAll(async () => {
    server = await startServer(config);
  });
  afterAll(() => server?.stop());
  return {
    get url() {
      return started(server).url;
    },
  };
}

/** A browser in which somebody is signed in and everything is loaded. */
export async function openPerson(
  { url }: Pick<Server, "url">,
  email: string,
  options: BrowserOptions = {},
): Promise<Browser> {
  const browser = await openBrowser(options);
  await signIn(browser.page, url, email);
  await untilSync(browser.page, "saved");
  // From now on the console opens without a network.
  await browser.page.evaluate(async () => void (await navigator.serviceWorker.ready));
  return browser;
}

/** Opens people for one test; afterwards their browsers are closed, and nobody's may have complained. */
export function peopleOf(server: Pick<Server, "url">): (email: string) => Promise<Browser> {
  const opened: Browser[] = [];
  afterEach(() => closeAll(opened.splice(0)));
  return async (email) => {
    const browser = await openPerson(server, email);
    opened.push(browser);
    return browser;
  };
}

/** Closes browsers that had no reason to complain. */
export async function closeAll(browsers: readonly Browser[]): Promise<void> {
  const complaints = browsers.flatMap((browser) => browser.complaints);
  await Promise.all(browsers.map((browser) => browser.close()));
  expect(complaints).toEqual([]);
}

export interface EachBrowser {
  /** Of the test that runs. */
  readonly page: Page;
  readonly context: BrowserContext;
}

/** A fresh browser for each test. `email`: who is signed in in it; nobody, when it is not given. */
export function browserForEach(server: Pick<Server, "url">, email?: string): EachBrowser {
  let browser: Browser | undefined;
  beforeEach(async () => {
    browser = email === undefined ? await openBrowser() : await openPerson(server, email);
  });
  afterEach(() => closeAll(browser === undefined ? [] : [browser]));
  return {
    get page() {
      return started(browser).page;
    },
    get context() {
      return started(browser).context;
    },
  };
}

/** The owner of the demo, in a fresh browser for each test. */
export function ownerForEach(server: Pick<Server, "url">): EachBrowser {
  return browserForEach(server, OWNER);
}

function started<T>(what: T | undefined): T {
  if (what === undefined) {
    throw new Error("this is there once the tests run");
  }
  return what;
}
