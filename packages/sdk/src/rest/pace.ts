/** How fast requests leave, and when a failed one is tried again. Pure: time and randomness are arguments. */

import { BACKOFF_MAX_MS, BACKOFF_MIN_MS } from "../protocol/limits.ts";

/** A bucket of requests: full at first, filled evenly, never above what it holds. */
export interface Bucket {
  readonly left: number;
  readonly atMs: number;
}

export interface Pace {
  readonly perMinute: number;
  /** Requests that may leave at once after a pause. */
  readonly burst: number;
}

/** Takes one request out of the bucket. Returns how long it waits for its turn; the bucket may be in debt meanwhile. */
export function takeTurn(
  bucket: Bucket,
  { perMinute, burst }: Pace,
  nowMs: number,
): { bucket: Bucket; waitMs: number } {
  const filled = Math.min(bucket.left + ((nowMs - bucket.atMs) * perMinute) / 60_000, burst);
  const left = filled - 1;
  return { bucket: { left, atMs: nowMs }, waitMs: left >= 0 ? 0 : Math.ceil((-left * 60_000) / perMinute) };
}

/** Full jitter (spec LIV-1): the wait before the attempt after `attempt` failures; the server's wish wins. `fraction`: 0 to 1. */
export function backoffMs(attempt: number, fraction: number, retryMs: number | undefined): number {
  const bound = Math.min(BACKOFF_MIN_MS * 2 ** Math.min(attempt, 16), BACKOFF_MAX_MS);
  return Math.min(retryMs ?? Math.floor(fraction * (bound + 1)), BACKOFF_MAX_MS);
}
