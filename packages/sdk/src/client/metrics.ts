/** What a program reports about its devices: counts of what happened, and where the device stands now. */

import type { AnyClient } from "./any.ts";
import type { ClientEvent, Status } from "./client.ts";

export interface Metrics {
  /** How often each event came since counting began. */
  readonly events: Readonly<Partial<Record<ClientEvent["event"], number>>>;
  /** Mutations the server refused since counting began. */
  readonly rejectedTotal: number;
  readonly phase: Status["phase"];
  readonly pending: number;
  /** Milliseconds since the last completed sync, on the device's clock; absent: never. */
  readonly sinceSyncMs?: number;
  /** Repairs by range since the replica was made. */
  readonly repairs: number;
}

/** Counts until `stop` is called. `nowMs`: the device's clock. No names, values or addresses of people are among it. */
export function countMetrics<Types>(client: AnyClient<Types>): {
  read(nowMs: number): Promise<Metrics>;
  stop(): void;
} {
  const events: Partial<Record<ClientEvent["event"], number>> = {};
  let rejectedTotal = 0;
  const stop = client.onEvent((event) => {
    events[event.event] = (events[event.event] ?? 0) + 1;
    rejectedTotal += event.event === "rejected" ? event.clientSeqs.length : 0;
  });
  return {
    stop,
    read: async (nowMs) => {
      const { phase, pending, meta } = await client.status();
      const lastSyncMs = meta?.lastSyncMs ?? 0;
      return {
        events: { ...events },
        rejectedTotal,
        phase,
        pending,
        repairs: meta?.repairs ?? 0,
        ...(lastSyncMs > 0 && { sinceSyncMs: Math.max(nowMs - lastSyncMs, 0) }),
      };
    },
  };
}
