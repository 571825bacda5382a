/** What was typed into a form and not saved yet: it is there again when the form is opened again. */

import { useCallback, useState } from "react";

/** Forms of which something is kept; the oldest goes first. In memory alone: it is gone with the page and with the sign-in. */
const DRAFTS_MAX = 50;
const drafts = new Map<string, unknown>();

/** `key`: which form, of which record. Returns what was typed, how to keep more, and how to forget it. */
export function useDraft<T>(
  key: string,
  empty: T,
): readonly [typed: T, setTyped: (change: (held: T) => T) => void, forget: () => void] {
  const [typed, setState] = useState<T>(() => (drafts.get(key) as T | undefined) ?? empty);
  const setTyped = useCallback(
    (change: (held: T) => T) =>
      setState((held) => {
        const next = change(held);
        drafts.delete(key);
        drafts.set(key, next);
        for (const oldest of [...drafts.keys()].slice(0, Math.max(drafts.size - DRAFTS_MAX, 0))) {
          drafts.delete(oldest);
        }
        return next;
      }),
    [key],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is empty does not change
  const forget = useCallback(() => {
    drafts.delete(key);
    setState(empty);
  }, [key]);
  return [typed, setTyped, forget];
}

/** Forgets what one person typed, before another sits down. */
export function forgetDrafts(): void {
  drafts.clear();
}
