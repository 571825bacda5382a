/** When an edit was made, as far as the server believes it. */

/**
 * The server's estimate of when a mutation was authored, in milliseconds since the Unix epoch (spec CLK-2).
 *
 * `ageMs`: the device's now − edit time, both on its own clock, so a constant skew cancels out. The result lies in
 * `[min(baseCommittedMs, receivedMs), receivedMs]`: no device clock can win or lose by itself.
 */
export function authoredAt(ageMs: number, baseCommittedMs: number, receivedMs: number): number {
  return Math.min(Math.max(Math.max(receivedMs - ageMs, 0), baseCommittedMs), receivedMs);
}
