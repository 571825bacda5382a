/** What the SDK takes from where it runs. Everything else takes these as arguments. */

import { ID_RANDOM_BYTES, idV7 } from "../ids.ts";

export interface Platform {
  readonly fetch: typeof fetch;
  /** A standard WebSocket; absent on platforms without one, where `ws` of npm serves. */
  readonly WebSocket: typeof WebSocket;
  /** The device's clock, in milliseconds since the Unix epoch. */
  wallMs(): number;
  /** Milliseconds since any origin; never goes back. */
  monotonicMs(): number;
  /** Fresh random bytes, fit for keys. */
  random(count: number): Uint8Array;
}

/** The platform's own means, with some replaced. Throws when there is no WebSocket. */
export function platformWith(replaced: Partial<Platform>): Platform {
  const socket = replaced.WebSocket ?? globalThis.WebSocket;
  if (socket === undefined) {
    throw new Error("this platform has no WebSocket: pass one as `platform.WebSocket`");
  }
  return {
    // Browsers refuse a fetch that was taken off its window.
    fetch: (...request) => globalThis.fetch(...request),
    wallMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
    ...replaced,
    WebSocket: socket,
  };
}

/** Mints an id for a new record, mutation, client or device. */
export function mintId(platform: Platform): string {
  return idV7(platform.wallMs(), platform.random(ID_RANDOM_BYTES));
}
