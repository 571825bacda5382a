/** What the person is told without asking: a refused capture, a conflict that waits for them. Each once. */

import { NOTIFIED_KEY, readKey, writeKey } from "../keys.ts";
import type { Device } from "./device.ts";

/** Ids kept of what was told; older ones are forgotten, and long since decided. */
export const NOTIFIED_MAX = 500;

/** Tells what is new. Survives an end of the service worker at any point: at worst something is told twice. */
export async function notify(device: Device): Promise<void> {
  const told = new Set((await readKey<readonly string[]>(NOTIFIED_KEY)) ?? []);
  const refused = (await device.rejected()).map(({ mutation }) => mutation.mutation_id);
  const conflicts = await ownConflicts(device);
  const news = [
    {
      ids: refused,
      kind: "refused",
      title: "A lead was refused",
      many: "leads were refused",
      todo: "Open Syncline to change or discard it.",
    },
    {
      ids: conflicts,
      kind: "conflict",
      title: "A conflict waits for you",
      many: "conflicts wait for you",
      todo: "Decide it in the console.",
    },
  ];
  for (const { ids, kind, title, many, todo } of news) {
    const fresh = ids.filter((id) => !told.has(id));
    if (fresh.length > 0) {
      const shown = fresh.length === 1 ? title : `${fresh.length} ${many}`;
      await show(`${kind}/${fresh[0]}`, shown, todo);
      for (const id of fresh) {
        told.add(id);
      }
      await writeKey(NOTIFIED_KEY, [...told].slice(-NOTIFIED_MAX));
    }
  }
}

/** Says that captures were deleted with the access to their server, before they could be sent. */
export function tellLost(count: number): Promise<void> {
  const shown = count === 1 ? "1 capture was deleted" : `${count} captures were deleted`;
  return show("lost", shown, "Your access was withdrawn before they could be sent.");
}

async function show(id: string, title: string, message: string): Promise<void> {
  await chrome.notifications.create(id, {
    type: "basic",
    iconUrl: chrome.runtime.getURL("icons/128.png"),
    title,
    message,
  });
}

/** The address that a notification leads to when it is clicked: a conflict is decided in the console, the rest in the popup. */
export function placeOf(notification: string, server: string | undefined): string {
  const [kind, id = ""] = notification.split("/");
  return kind === "conflict" && server !== undefined
    ? `${server}/conflicts/${encodeURIComponent(id)}`
    : chrome.runtime.getURL("popup.html");
}

/** Open conflicts in which one side is this person's. */
export async function ownConflicts(device: Device): Promise<string[]> {
  const userId = device.credentials?.userId;
  const open = await device.db.conflicts.select({ where: { state: "open" } });
  return open.filter(({ fields }) => fields.mine_user === userId || fields.assigned_to === userId).map(({ id }) => id);
}

/** The badge: what needs a person, else how much is not on the server yet. */
export async function showBadge(pending: number, refused: number): Promise<void> {
  const text = refused > 0 ? "!" : pending > 99 ? "99+" : pending > 0 ? String(pending) : "";
  await chrome.action.setBadgeText({ text });
  await chrome.action.setBadgeBackgroundColor({ color: refused > 0 ? "#b3261e" : "#3b5bdb" });
  await chrome.action.setBadgeTextColor({ color: "#ffffff" });
  const title =
    refused > 0 ? `Syncline: ${refused} refused` : pending > 0 ? `Syncline: ${pending} waiting` : "Syncline";
  await chrome.action.setTitle({ title });
}
