/** The import or undo of this page: it goes on whatever screen is shown meanwhile. What was imported is kept by `kept.ts`. */

import { useCallback, useEffect, useState, useSyncExternalStore } from "react";
import type { Crm } from "../../data/client.ts";
import { useClient } from "../../data/live.ts";
import type { Sheet } from "./files.ts";
import { type KeptImport, loadImports } from "./kept.ts";
import type { Planned } from "./plan.ts";
import { type Control, type Progress, runImport, type Undone, type UndoProgress, undoImport } from "./run.ts";

export type Work =
  | {
      readonly phase: "running" | "ended";
      readonly sheet: Sheet;
      readonly planned: readonly Planned[];
      readonly progress: Progress;
      readonly isPaused: boolean;
      /** Once it has ended. */
      readonly kept?: KeptImport;
    }
  | {
      readonly phase: "undoing";
      readonly kept: KeptImport;
      readonly progress: UndoProgress;
      readonly isPaused: boolean;
    };

export type Import = Extract<Work, { phase: "running" | "ended" }>;

let current: Work | undefined;
/** Counts what changes the list of imports. */
let version = 0;
let brake = brakeOf();
const listeners = new Set<() => void>();

function set(next: Work | undefined): void {
  if (next?.phase !== current?.phase) {
    version += 1;
  }
  current = next;
  for (const listener of [...listeners]) {
    listener();
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** What is under way, or the last import until it was closed. */
export function useWork(): Work | undefined {
  return useSyncExternalStore(subscribe, () => current);
}

/** Imports of this device, newest first; read anew when one begins or ends here. `undefined`: they are being read. */
export function useImports(): {
  readonly imports: readonly KeptImport[] | undefined;
  readonly running: ReadonlySet<string>;
} {
  const client = useClient();
  const changed = useSyncExternalStore(subscribe, () => version);
  const [read, setRead] = useState<{ imports: readonly KeptImport[]; running: ReadonlySet<string> }>();
  const reload = useCallback(async (): Promise<void> => {
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const running = new Set(held.flatMap(({ name = "" }) => (name.startsWith(LOCK) ? [name.slice(LOCK.length)] : [])));
    setRead({ imports: await loadImports(client), running });
  }, [client]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: see `version`
  useEffect(() => {
    void reload();
  }, [reload, changed]);
  return { imports: read?.imports, running: read?.running ?? new Set() };
}

/** Held while an import runs or is taken back: other tabs see that it was not interrupted. */
const LOCK = "syncline import of ";

/** Clients of which it is heard when everything on the device is deleted: then nothing of it stays here either. */
const heard = new WeakSet<Crm>();

function forgetWithDevice(client: Crm): void {
  if (!heard.has(client)) {
    heard.add(client);
    client.onEvent(({ event }) => event === "purged" && closeWork());
  }
}

export async function startImport(client: Crm, sheet: Sheet, planned: readonly Planned[]): Promise<void> {
  forgetWithDevice(client);
  const total = planned.filter(({ plan }) => plan.does === "create").length;
  const progress: Progress = { done: 0, total, created: 0, failed: [], isWaiting: false };
  set({ phase: "running", sheet, planned, progress, isPaused: false });
  const id = client.mintId();
  await guarded(id, async (control) => {
    const onProgress = (come: Progress): void => change({ progress: come });
    const run = await runImport(client, planned, { ...control, id, name: sheet.name, onProgress });
    set({ phase: "ended", sheet, planned, progress: run.progress, isPaused: false, kept: run.kept });
  });
}

/** Takes an import back; returns how that went. */
export async function takeBack(client: Crm, kept: KeptImport): Promise<Undone | undefined> {
  set({ phase: "undoing", kept, progress: { done: 0, total: 0 }, isPaused: false });
  let undone: Undone | undefined;
  await guarded(kept.id, async (control) => {
    undone = await undoImport(client, kept, { ...control, onProgress: (progress) => change({ progress }) });
    set(undefined);
  });
  return undone;
}

/** Runs with a brake, asks before the tab is closed in the middle, and forgets work that broke. */
async function guarded(id: string, work: (control: Control) => Promise<void>): Promise<void> {
  brake = brakeOf();
  const { control } = brake;
  addEventListener("beforeunload", askFirst);
  try {
    const locks = navigator.locks;
    await (locks === undefined
      ? work(control)
      : locks.request(`${LOCK}${id}`, { mode: "shared" }, () => work(control)));
  } catch (error) {
    set(undefined);
    throw error;
  } finally {
    removeEventListener("beforeunload", askFirst);
  }
}

function change(part: object): void {
  if (current !== undefined && current.phase !== "ended") {
    set({ ...current, ...part } as Work);
  }
}

/** Holds it up between two steps, or lets it go on. */
export function pauseWork(isPaused: boolean): void {
  brake.pause(isPaused);
  change({ isPaused });
}

/** What is done stays, the rest is left. */
export function stopWork(): void {
  brake.stop();
}

export function closeWork(): void {
  stopWork();
  set(undefined);
}

/** A way to hold up and to end a piece of work. */
function brakeOf() {
  const stopping = new AbortController();
  let waiting: (() => void) | undefined;
  let isPaused = false;
  const release = (): void => {
    waiting?.();
    waiting = undefined;
  };
  const control: Control = {
    signal: stopping.signal,
    untilWanted: () =>
      isPaused && !stopping.signal.aborted
        ? new Promise((resolve) => {
            waiting = resolve;
          })
        : Promise.resolve(),
  };
  return {
    control,
    pause: (isWanted: boolean): void => {
      isPaused = isWanted;
      if (!isWanted) {
        release();
      }
    },
    stop: (): void => {
      stopping.abort();
      release();
    },
  };
}

/** Closing the tab would end it in the middle: the browser asks first. */
function askFirst(event: BeforeUnloadEvent): void {
  event.preventDefault();
}
