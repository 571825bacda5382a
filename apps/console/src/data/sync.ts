/** Where the device stands with the server, as one indicator and as what the app as a whole shows. */

import type { Status } from "@syncline/sdk";
import { useMemo, useSyncExternalStore } from "react";
import type { Crm } from "./client.ts";
import { useClient } from "./live.ts";
import { isWorkingOffline, onWorkingOffline } from "./workOffline.ts";

/** What the indicator says. Exactly one holds at any moment. */
export type SyncView =
  /** The store is being read. */
  | { readonly kind: "starting" }
  | { readonly kind: "sign_in_needed"; readonly pending: number }
  /** What is done here cannot be kept on this device; the code says why. */
  | { readonly kind: "store_failed"; readonly code: string; readonly pending: number }
  /** Sync has ended for good; the code says why. */
  | { readonly kind: "stopped"; readonly code: string }
  /** `rejected`: wait for the person, whatever else holds. */
  | { readonly kind: "offline"; readonly pending: number; readonly rejected: number; readonly isChosen: boolean }
  /** Connected, and everything is sent but what the server could not accept. */
  | { readonly kind: "rejected"; readonly rejected: number; readonly pending: number }
  | { readonly kind: "connecting"; readonly pending: number }
  /** The first copy of the data is on its way. */
  | { readonly kind: "loading" }
  | { readonly kind: "syncing"; readonly pending: number }
  | { readonly kind: "saved"; readonly lastSyncMs: number };

/**
 * Reads the indicator from the status; what keeps everything from being saved comes first. `isOnline`: as the browser has it;
 * `isChosen`: the person works offline.
 */
export function syncView(status: Status | undefined, isOnline: boolean, isChosen = false): SyncView {
  if (status === undefined) {
    return { kind: "starting" };
  }
  const { phase, pending, rejected, meta, storeFailure } = status;
  if (storeFailure !== undefined) {
    return { kind: "store_failed", code: storeFailure, pending };
  }
  if (phase === "signed_out") {
    return { kind: "sign_in_needed", pending };
  }
  if (phase === "stopped") {
    return { kind: "stopped", code: meta?.purged ?? "stopped" };
  }
  const offline = { kind: "offline", pending, rejected, isChosen } as const;
  // The browser knows before the socket does, which looks alive until a heartbeat is missing.
  if (!isOnline || isChosen) {
    return offline;
  }
  if (rejected > 0 && (phase === "live" || phase === "connecting" || phase === "greeting")) {
    return { kind: "rejected", rejected, pending };
  }
  if (phase === "live") {
    if (pending > 0) {
      return { kind: "syncing", pending };
    }
    return meta !== undefined && meta.lastSyncMs > 0
      ? { kind: "saved", lastSyncMs: meta.lastSyncMs }
      : { kind: "loading" };
  }
  return phase === "connecting" || phase === "greeting" ? { kind: "connecting", pending } : offline;
}

/** The status of the device; `undefined` until it was read for the first time. */
export function useStatus(): Status | undefined {
  const client = useClient();
  const status = useMemo(() => statusOf(client), [client]);
  return useSyncExternalStore(status.subscribe, status.snapshot);
}

export function useIsOnline(): boolean {
  return useSyncExternalStore(subscribeOnline, () => navigator.onLine);
}

export function useSyncView(): SyncView {
  const isChosen = useSyncExternalStore(onWorkingOffline, isWorkingOffline);
  return syncView(useStatus(), useIsOnline(), isChosen);
}

function subscribeOnline(listener: () => void): () => void {
  addEventListener("online", listener);
  addEventListener("offline", listener);
  return () => {
    removeEventListener("online", listener);
    removeEventListener("offline", listener);
  };
}

interface External<T> {
  readonly subscribe: (listener: () => void) => () => void;
  readonly snapshot: () => T;
}

interface StatusSource extends External<Status | undefined> {
  readonly reread: () => void;
}

/** After this the status is asked for anew when nobody answered. */
const AGAIN_MS = 1_000;

const statusByClient = new WeakMap<Crm, StatusSource>();

/** Reads the status anew after what no event tells of, such as discarding a rejected change. */
export function rereadStatus(client: Crm): void {
  statusByClient.get(client)?.reread();
}

/** Read anew after events, at most one reading at a time; every component shares it. */
function statusOf(client: Crm): StatusSource {
  const held = statusByClient.get(client);
  if (held !== undefined) {
    return held;
  }
  const listeners = new Set<() => void>();
  let state: Status | undefined;
  let isReading = false;
  let isStale = false;
  let stop: (() => void) | undefined;
  const read = async (): Promise<void> => {
    isStale = true;
    if (isReading) {
      return;
    }
    isReading = true;
    while (isStale) {
      isStale = false;
      // No tab answers while the lead changes hands, or the store does not: asked again, so that no screen waits for ever.
      const next = await client.status().catch(() => {
        setTimeout(() => void read(), AGAIN_MS);
        return state;
      });
      if (JSON.stringify(next) !== JSON.stringify(state)) {
        state = next;
        for (const listener of [...listeners]) {
          listener();
        }
      }
    }
    isReading = false;
  };
  const status = {
    reread: () => void read(),
    snapshot: () => state,
    subscribe: (listener: () => void) => {
      listeners.add(listener);
      if (listeners.size === 1) {
        stop = client.onEvent(() => void read());
        void read();
      }
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) {
          stop?.();
        }
      };
    },
  };
  statusByClient.set(client, status);
  return status;
}
