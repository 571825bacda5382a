/** Chromium with a profile of its own, as people have one: storage that lasts, a service worker, a network that can go. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type Page } from "playwright-core";

/** `CHROMIUM`, else Debian's. */
const PROGRAM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface BrowserOptions {
  readonly width?: number;
  readonly height?: number;
  readonly theme?: "light" | "dark";
  readonly isPhone?: boolean;
  /** Flags beside the usual ones, such as those that load an extension. */
  readonly flags?: readonly string[];
}

/** A browser of one person; `close` deletes its profile. */
export interface Browser {
  readonly context: BrowserContext;
  readonly page: Page;
  /** What the pages complained about: uncaught errors and refusals of the page's policy. */
  readonly complaints: readonly string[];
  close(): Promise<void>;
}

export async function openBrowser(options: BrowserOptions = {}): Promise<Browser> {
  const { width = 1280, height = 800, theme = "light", isPhone = false, flags = [] } = options;
  const profile = mkdtempSync(join(tmpdir(), "syncline-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: PROGRAM,
    headless: true,
    chromiumSandbox: false,
    args: [...FLAGS, ...flags],
    viewport: { width, height },
    colorScheme: theme,
    hasTouch: isPhone,
    deviceScaleFactor: isPhone ? 2 : 1,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
    acceptDownloads: true,
  });
  const complaints: string[] = [];
  context.on("weberror", (error) => complaints.push(error.error().message));
  context.on("console", (message) => {
    if (message.type() === "error" && /Content Security Policy|Refused to/.test(message.text())) {
      complaints.push(message.text());
    }
  });
  const page = context.pages()[0] ?? (await context.newPage());
  return {
    context,
    page,
    complaints,
    close: async () => {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}
