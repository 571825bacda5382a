/**
 * Getting through where WebSockets do not: proxies that break them are common in offices and hotels. A WebSocket first; when
 * it does not open, a stream of events, then long polls, then a WebSocket again. While one of the others is in use, a
 * WebSocket is tried from time to time, and the connection goes back to it by itself.
 */

import { eventStream, longPoll } from "./channel.ts";
import type { Connect, Link, LinkListener } from "./link.ts";
import type { Platform } from "./platform.ts";
import { webSocket } from "./socket.ts";

export interface FallbackOptions {
  /** Connections in a row that bring no frame before the next way is tried; default 2. */
  readonly failuresMax?: number;
  /** How often a WebSocket is tried while another way is in use; milliseconds, default 5 minutes. */
  readonly retryMs?: number;
  /** Called with the way that is taken from now on. */
  readonly onTransport?: (transport: Transport) => void;
}

export type Transport = "websocket" | "events" | "poll";

const FAILURES_MAX = 2;
const RETRY_MS = 5 * 60_000;
/** A connection that is given up before this was not tried long enough to say that nothing came through. */
const PATIENCE_MS = 10_000;

/** Each way with the one after it. */
const WAYS: Readonly<Record<Transport, { readonly connect: Connect; readonly next: Transport }>> = {
  websocket: { connect: webSocket, next: "events" },
  events: { connect: eventStream, next: "poll" },
  poll: { connect: longPoll, next: "websocket" },
};

/** For `ClientOptions.connect`. Keeps which way works for as long as the client lives. */
export function fallback(options: FallbackOptions = {}): Connect {
  const { failuresMax = FAILURES_MAX, retryMs = RETRY_MS, onTransport } = options;
  let transport: Transport = "websocket";
  let failures = 0;
  const take = (next: Transport): void => {
    transport = next;
    failures = 0;
    onTransport?.(next);
  };

  return (platform, auth, link, listener) => {
    const way = transport;
    const startedMs = platform.monotonicMs();
    let [hasHeard, isOver] = [false, false];
    let retry: (() => void) | undefined;
    const end = (didFail: boolean): void => {
      retry?.();
      isOver = true;
      if (didFail && !hasHeard && transport === way) {
        failures += 1;
        if (failures >= failuresMax) {
          take(WAYS[way].next);
        }
      }
    };
    const told: LinkListener = {
      ...listener,
      opened: () => listener.opened(),
      frame: (frame) => {
        hasHeard = true;
        failures = 0;
        listener.frame(frame);
      },
      lost: (code) => {
        // A close of the server's own came all the way here: this way is open.
        end(code === undefined || code < 4_000);
        listener.lost(code);
      },
      refused: (failure) => {
        end(false);
        listener.refused(failure);
      },
    };
    const inner: Link = WAYS[way].connect(platform, auth, link, told);
    if (way !== "websocket") {
      const address = `ws${link.server.replace(/^http/, "")}/ws/${link.mode}/${link.clientId}`;
      retry = tryAgain(platform, address, retryMs, () => {
        if (!isOver && hasHeard) {
          take("websocket");
          end(false);
          inner.close();
          listener.lost(undefined);
        }
      });
    }
    return {
      send: (frame) => inner.send(frame),
      close: () => {
        end(!isOver && platform.monotonicMs() - startedMs >= PATIENCE_MS);
        inner.close();
      },
    };
  };
}

/** Tries a WebSocket every `everyMs` until one opens; it is closed again unused. Returns what ends the trying. */
function tryAgain(platform: Platform, address: string, everyMs: number, opened: () => void): () => void {
  let socket: WebSocket | undefined;
  const timer = setInterval(() => {
    socket?.close();
    socket = new platform.WebSocket(address);
    const tried = socket;
    tried.addEventListener("error", () => undefined);
    tried.addEventListener("open", () => {
      tried.close();
      opened();
    });
  }, everyMs);
  return () => {
    clearInterval(timer);
    socket?.close();
  };
}
