/** The device behind the console: one store, one leading tab, all records. */

import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { deviceKey } from "@syncline/sdk/devicekey";
import { noticeEviction } from "@syncline/sdk/eviction";
import { fallback } from "@syncline/sdk/fallback";
import { indexedDb } from "@syncline/sdk/indexeddb";
import { sealed } from "@syncline/sdk/sealed";
import { TabClient } from "@syncline/sdk/tabs";
import { unlessOffline } from "./workOffline.ts";

export type Crm = TabClient<CrmEntities>;

const NAME = "syncline console";

/** Opens the device; needs no network. `onEvicted`: the browser has deleted the store with so many unsaved changes in it. */
export async function openClient(onEvicted: (lost: { readonly pending: number }) => void): Promise<Crm> {
  const store = sealed(indexedDb({ name: NAME }), await deviceKey(NAME));
  return TabClient.open<CrmEntities>({
    name: NAME,
    server: location.origin,
    ...crm,
    store: noticeEviction(store, { name: NAME, onEvicted }),
    mode: "web_app",
    deviceName: deviceName(navigator.userAgent),
    connect: unlessOffline(fallback()),
  });
}

const BROWSERS = [
  ["Edge", /Edg\//],
  ["Firefox", /Firefox\//],
  ["Chrome", /Chrom(e|ium)\//],
  ["Safari", /Safari\//],
] as const;
const SYSTEMS = [
  ["Android", /Android/],
  ["iPhone", /iPhone/],
  ["iPad", /iPad/],
  ["Windows", /Windows/],
  ["macOS", /Mac OS X/],
  ["Linux", /Linux/],
] as const;

/** How the list of devices names this browser: "Chrome on Windows". */
export function deviceName(userAgent: string): string {
  const first = (of: readonly (readonly [string, RegExp])[]): string | undefined =>
    of.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const [browser, system] = [first(BROWSERS) ?? "Browser", first(SYSTEMS)];
  return system === undefined ? browser : `${browser} on ${system}`;
}
