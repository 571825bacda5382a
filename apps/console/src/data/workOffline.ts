/** Working offline because one wants to: nothing is sent or fetched over the live connection until one says so. */

import type { Connect } from "@syncline/sdk";

/** Of `localStorage`: all tabs of this browser are offline together, also after they were loaded anew. */
const KEY = "syncline works offline";
const listeners = new Set<() => void>();

export function isWorkingOffline(): boolean {
  try {
    return localStorage.getItem(KEY) !== null;
  } catch {
    // A window that keeps nothing has no such wish either.
    return false;
  }
}

export function workOffline(isWanted: boolean): void {
  if (isWanted) {
    localStorage.setItem(KEY, "yes");
  } else {
    localStorage.removeItem(KEY);
  }
  told();
}

/** Calls `listener` after every change, also one of another tab, until the function it returns is called. */
export function onWorkingOffline(listener: () => void): () => void {
  if (listeners.size === 0) {
    addEventListener("storage", onStorage);
  }
  listeners.add(listener);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      removeEventListener("storage", onStorage);
    }
  };
}

function onStorage({ key }: StorageEvent): void {
  if (key === KEY || key === null) {
    told();
  }
}

function told(): void {
  for (const listener of [...listeners]) {
    listener();
  }
  if (!isWorkingOffline()) {
    // What the SDK waits for: it connects at once instead of at the end of a back-off.
    dispatchEvent(new Event("online"));
  }
}

/** A way to connect that is as good as no network while one works offline. */
export function unlessOffline(connect: Connect): Connect {
  return (platform, auth, options, listener) => {
    if (isWorkingOffline()) {
      const timer = setTimeout(() => listener.lost(undefined));
      return { send: () => undefined, close: () => clearTimeout(timer) };
    }
    const link = connect(platform, auth, options, {
      ...listener,
      lost: (code) => {
        stop();
        listener.lost(code);
      },
      refused: (failure) => {
        stop();
        listener.refused(failure);
      },
    });
    const stop = onWorkingOffline(() => {
      if (isWorkingOffline()) {
        stop();
        link.close();
        listener.lost(undefined);
      }
    });
    return {
      send: (frame) => link.send(frame),
      close: () => {
        stop();
        link.close();
      },
    };
  };
}
