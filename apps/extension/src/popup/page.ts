/** Asking the page in front for its snapshot. Opening the popup by the person's click is what permits it. */

import { type Capture, captureOf } from "../capture/capture.ts";
import { LIMITS } from "../capture/limits.ts";
import { type Snapshot, takeSnapshot } from "../capture/snapshot.ts";
import { serverAddress } from "../server.ts";

export type Captured = { readonly capture: Capture } | { readonly problem: string };

/**
 * The address of the server whose console is in front, when it is one. Any page may say that it is a console: so the person is
 * shown the address, as the browser has it, and chooses.
 */
export async function serverInFront(): Promise<string | undefined> {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  if (tab?.id === undefined || tab.url === undefined) {
    return undefined;
  }
  const checked = serverAddress(new URL(tab.url).origin);
  try {
    const [injected] = await chrome.scripting.executeScript({
      target: { tabId: tab.id },
      func: () => document.querySelector<HTMLMetaElement>('meta[name="application-name"]')?.content,
    });
    return injected?.result === "Syncline" && "address" in checked ? checked.address : undefined;
  } catch {
    return undefined;
  }
}

export async function capturePage(): Promise<Captured> {
  const [tab] = await chrome.tabs.query({ active: true, currentWindow: true });
  if (tab?.id === undefined) {
    return { problem: "There is no page in front." };
  }
  try {
    const [injected] = await chrome.scripting.executeScript({
      target: { tabId: tab.id },
      func: takeSnapshot,
      args: [LIMITS],
    });
    const snapshot = injected?.result as Snapshot | null | undefined;
    if (snapshot === null || snapshot === undefined) {
      return { problem: "The page gave no answer. Load it again, then capture it." };
    }
    return { capture: captureOf(snapshot) };
  } catch {
    // The browser's own pages, its web store and files admit no extension.
    return { problem: "The browser does not let extensions read this page. A lead can still be written by hand." };
  }
}
