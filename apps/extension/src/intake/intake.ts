/**
 * Captures that are saved and not yet in the SDK's outbox: nobody was signed in, or the browser ended the service worker
 * between the two. Each is one key of `chrome.storage.local`, sealed with the key of the device.
 */

import { deviceKey } from "@syncline/sdk/devicekey";
import { INTAKE_PREFIX, readKey, writeKey } from "../keys.ts";
import type { Save } from "../messages.ts";

/** A saved capture with the ids its records will have: saving it again makes the same records, and so nothing. */
export interface IntakeRow {
  readonly save: Save;
  readonly contactId: string;
  readonly leadId: string;
  readonly activityId: string;
  /** Device time. */
  readonly atMs: number;
  /** The server it is for; absent: none was chosen yet, so it is for the next one. */
  readonly server?: string;
  /** Whose it is; absent: nobody was signed in on this browser, so it is of the next one who is. */
  readonly userId?: string;
  /** Why it cannot become a lead as it is. The person changes it or discards it. */
  readonly invalid?: string;
}

/** Captures that may wait; more are refused, and the person is told to sign in. About 20 KiB each at most. */
export const INTAKE_ROWS_MAX = 200;
/** Name of the key that seals them. */
const KEY_NAME = "syncline intake";
const NONCE_BYTES = 12;

/** Puts a row on disk, or replaces it. Returns false when there is no room for another one. */
export async function putIntake(row: IntakeRow): Promise<boolean> {
  const key = INTAKE_PREFIX + row.save.id;
  const keys = await intakeKeys();
  if (!keys.includes(key) && keys.length >= INTAKE_ROWS_MAX) {
    return false;
  }
  await writeKey(key, await seal(row));
  return true;
}

/** Rows oldest first. One that does not open with this device's key is left where it is. */
export async function intakeRows(): Promise<IntakeRow[]> {
  const opened = await Promise.all((await intakeKeys()).map(async (key) => unseal(key, await readKey<string>(key))));
  return opened.filter((row) => row !== undefined).sort((a, b) => a.atMs - b.atMs);
}

/** Whom the extension works for: the server that is chosen and who is signed in there, as far as they are known. */
export interface Owner {
  readonly server?: string | undefined;
  readonly userId?: string | undefined;
}

/** Whether a row is this owner's. One person's captures are never another's, and those for one server never another's. */
export function isOf(row: IntakeRow, { server, userId }: Owner): boolean {
  return (row.server === undefined || row.server === server) && (row.userId === undefined || row.userId === userId);
}

/** Deletes every row of an owner who leaves; returns how many those were. */
export async function removeIntakeOf(owner: Owner): Promise<number> {
  const rows = (await intakeRows()).filter((row) => isOf(row, owner));
  await Promise.all(rows.map(({ save }) => removeIntake(save.id)));
  return rows.length;
}

export function removeIntake(id: string): Promise<void> {
  return chrome.storage.local.remove(INTAKE_PREFIX + id);
}

async function intakeKeys(): Promise<string[]> {
  return Object.keys(await chrome.storage.local.get(null)).filter((key) => key.startsWith(INTAKE_PREFIX));
}

async function seal(row: IntakeRow): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const additionalData = new TextEncoder().encode(INTAKE_PREFIX + row.save.id);
  const text = new TextEncoder().encode(JSON.stringify(row));
  const bytes = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, await deviceKey(KEY_NAME), text);
  return [iv, new Uint8Array(bytes)].map((part) => btoa(String.fromCharCode(...part))).join(".");
}

async function unseal(key: string, sealed: string | undefined): Promise<IntakeRow | undefined> {
  try {
    const [iv, bytes] = (sealed ?? "")
      .split(".")
      .map((part) => Uint8Array.from(atob(part), (each) => each.charCodeAt(0)));
    const algorithm = { name: "AES-GCM", iv: iv ?? new Uint8Array(), additionalData: new TextEncoder().encode(key) };
    const text = await crypto.subtle.decrypt(algorithm, await deviceKey(KEY_NAME), bytes ?? new Uint8Array());
    return JSON.parse(new TextDecoder().decode(text)) as IntakeRow;
  } catch {
    // Sealed on another device, for example in a copied profile.
    return undefined;
  }
}
