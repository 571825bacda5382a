/** Every key of `chrome.storage.local`, with what is under it. Records are in the SDK's store, not here. */

/** Base address of the server. */
export const SERVER_KEY = "server";
/** One sealed capture each that the SDK has not taken yet: `intake/<mutation id>`. */
export const INTAKE_PREFIX = "intake/";
/** The last captures of this browser, newest first: ids alone. */
export const RECENT_KEY = "recent";
/** Ids of what the person was told about already. */
export const NOTIFIED_KEY = "notified";
/** Under this name the service worker wakes up by itself. */
export const SYNC_ALARM = "sync";
/** Pages that show the state are connected under this name. */
export const STATE_PORT = "state";

export async function readKey<T>(key: string): Promise<T | undefined> {
  return (await chrome.storage.local.get(key))[key] as T | undefined;
}

export function writeKey(key: string, value: unknown): Promise<void> {
  return chrome.storage.local.set({ [key]: value });
}
