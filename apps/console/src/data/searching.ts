/** Looking through long lists for words. */

import { useEffect } from "react";

/** Rows read ahead before the clock is looked at. */
const AHEAD_ROWS = 200;
/** One turn of reading ahead; well below a frame. */
const AHEAD_MS = 4;
/** Between two turns where the platform does not tell when it is idle. */
const AHEAD_PAUSE_MS = 50;

/** The words a search wants, as rows are looked through for them. */
export function wordsOf(search: string): readonly string[] {
  return search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
}

/** Makes what a search looks in while nobody does anything, so that the first letter is as quick as those after it. */
export function useReadAhead(rows: readonly { readonly haystack: string }[]): void {
  useEffect(() => {
    let next = 0;
    const stop = whenIdle((again) => {
      const endMs = performance.now() + AHEAD_MS;
      while (next < rows.length && performance.now() < endMs) {
        for (const row of rows.slice(next, next + AHEAD_ROWS)) {
          void row.haystack;
        }
        next += AHEAD_ROWS;
      }
      if (next < rows.length) {
        again();
      }
    });
    return stop;
  }, [rows]);
}

/** Runs `turn` when the browser has time, and again whenever it asks for that; until the function it returns is called. */
function whenIdle(turn: (again: () => void) => void): () => void {
  let cancel = (): void => undefined;
  const again = (): void => {
    if (typeof requestIdleCallback === "function") {
      const handle = requestIdleCallback(() => turn(again));
      cancel = () => cancelIdleCallback(handle);
    } else {
      const timer = setTimeout(() => turn(again), AHEAD_PAUSE_MS);
      cancel = () => clearTimeout(timer);
    }
  };
  again();
  return () => cancel();
}
