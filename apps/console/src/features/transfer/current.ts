/** The import of this page: it goes on, and can be taken back, whatever screen is shown meanwhile. */

import { useSyncExternalStore } from "react";
import type { Crm } from "../../data/client.ts";
import type { Sheet } from "./files.ts";
import type { Planned } from "./plan.ts";
import { type Progress, type Run, runImport, type Undone, undoImport } from "./run.ts";

export interface Import {
  readonly phase: "running" | "ended" | "undoing";
  readonly sheet: Sheet;
  readonly planned: readonly Planned[];
  readonly progress: Progress;
  /** Once it has ended. */
  readonly run?: Run;
}

let current: Import | undefined;
let stopping = new AbortController();
const listeners = new Set<() => void>();

function set(next: Import | undefined): void {
  current = next;
  for (const listener of [...listeners]) {
    listener();
  }
}

/** The import under way, or the last one until it was closed. */
export function useImport(): Import | undefined {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => current,
  );
}

export async function startImport(client: Crm, sheet: Sheet, planned: readonly Planned[]): Promise<void> {
  stopping = new AbortController();
  const { signal } = stopping;
  const total = planned.filter(({ plan }) => plan.does === "create").length;
  const begun: Import = {
    phase: "running",
    sheet,
    planned,
    progress: { done: 0, total, created: 0, failed: [], isWaiting: false },
  };
  set(begun);
  addEventListener("beforeunload", askFirst);
  try {
    const onProgress = (progress: Progress): void => set({ ...begun, progress });
    const run = await runImport(client, planned, { signal, onProgress });
    set({ ...begun, phase: "ended", progress: run.progress, run });
  } catch (error) {
    set(undefined);
    throw error;
  } finally {
    removeEventListener("beforeunload", askFirst);
  }
}

/** Rows that are done stay, the others are left. */
export function stopImport(): void {
  stopping.abort();
}

export async function takeBack(client: Crm): Promise<Undone | undefined> {
  const ended = current;
  if (ended?.run === undefined) {
    return undefined;
  }
  set({ ...ended, phase: "undoing" });
  try {
    return await undoImport(client, ended.run.made);
  } finally {
    set(undefined);
  }
}

export function closeImport(): void {
  stopImport();
  set(undefined);
}

/** Closing the tab would end the import in the middle: the browser asks first. */
function askFirst(event: BeforeUnloadEvent): void {
  event.preventDefault();
}
