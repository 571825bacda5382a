/** How each state of the sync looks and reads. */

import { Check, CircleAlert, CloudOff, LoaderCircle, LogIn } from "lucide-react";
import type { ReactNode } from "react";
import type { SyncView } from "../../data/sync.ts";
import { counted } from "../../format/text.ts";
import { ago } from "../../format/value.ts";

export interface Face {
  readonly tone: string;
  readonly icon: ReactNode;
  readonly label: string;
  /** What it means and what to do. */
  readonly detail: string;
}

const spin = <LoaderCircle aria-hidden="true" className="size-4 animate-spin" />;
const changes = (count: number): string => counted(count, "change");
const waiting = (count: number, until = "by itself when the network is back"): string =>
  count === 0 ? "Nothing waits to be sent." : `${changes(count)} safe on this device, and sent ${until}.`;

/** How each state looks and reads. */
export function faceOf(view: SyncView, nowMs: number): Face {
  switch (view.kind) {
    case "starting":
      return { tone: "text-ink-3", icon: spin, label: "Opening …", detail: "Reading what this device has." };
    case "loading":
      return {
        tone: "text-info",
        icon: spin,
        label: "Loading records",
        detail: "The first copy is on its way. You can work already.",
      };
    case "connecting":
      return {
        tone: "text-info",
        icon: spin,
        label: view.pending > 0 ? `Connecting · ${changes(view.pending)}` : "Connecting …",
        detail: waiting(view.pending),
      };
    case "syncing":
      return {
        tone: "text-info",
        icon: spin,
        label: `Saving ${changes(view.pending)}`,
        detail: "On the way to the server. They are safe on this device already.",
      };
    case "saved":
      return {
        tone: "text-good",
        icon: <Check aria-hidden="true" className="size-4" />,
        label: "All saved",
        detail:
          view.lastSyncMs > 0
            ? `The server has everything. In step since ${ago(view.lastSyncMs, nowMs)}.`
            : "The server has everything.",
      };
    case "offline":
      return {
        tone: "text-warn",
        icon: <CloudOff aria-hidden="true" className="size-4" />,
        label: [
          view.isChosen ? "Working offline" : "Offline",
          ...(view.pending > 0 ? [changes(view.pending)] : []),
          ...(view.rejected > 0 ? [`${view.rejected} rejected`] : []),
        ].join(" · "),
        detail: view.isChosen
          ? `Because you wanted to. ${waiting(view.pending, "when you go online again")}`
          : `You can go on working. ${waiting(view.pending)}`,
      };
    case "rejected":
      return {
        tone: "text-bad",
        icon: <CircleAlert aria-hidden="true" className="size-4" />,
        label: `${changes(view.rejected)} rejected${view.pending > 0 ? ` · ${view.pending} on the way` : ""}`,
        detail: "The server could not accept them. Their values are kept until you edit or discard them.",
      };
    case "sign_in_needed":
      return {
        tone: "text-warn",
        icon: <LogIn aria-hidden="true" className="size-4" />,
        label: "Sign in again",
        detail: `Your sign-in has ended. ${view.pending > 0 ? `${changes(view.pending)} ${view.pending === 1 ? "waits" : "wait"} on this device.` : "Nothing is lost."}`,
      };
    case "store_failed":
      return {
        tone: "text-bad",
        icon: <CircleAlert aria-hidden="true" className="size-4" />,
        label: "Cannot save here",
        detail: STORE_FAILED[view.code] ?? "The store of this device does not answer. Load the page again.",
      };
    case "stopped":
      return {
        tone: "text-bad",
        icon: <CircleAlert aria-hidden="true" className="size-4" />,
        label: "Sync has stopped",
        detail: STOPPED[view.code] ?? "The server refuses this device. Ask an administrator; nothing here is deleted.",
      };
  }
}

const STORE_FAILED: Readonly<Record<string, string>> = {
  storage_full: "This device has no room left. Make some, then go on: what was saved is kept.",
  storage_locked: "Another tab of an older version holds the store. Close it and load this page again.",
  storage_evicted: "The browser has deleted the copy on this device. Load the page again and sign in.",
  corrupt_local: "The copy on this device cannot be read. Sign out and in again to load it anew.",
};

const STOPPED: Readonly<Record<string, string>> = {
  proto_unsupported: "This page is too old for the server. Load it again.",
  backend_mismatch: "Another server answers at this address. Nothing is sent to it, and nothing here is deleted.",
  device_revoked: "Access of this device was withdrawn.",
};
