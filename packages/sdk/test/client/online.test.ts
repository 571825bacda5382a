// @vitest-environment happy-dom
import { expect, it, vi } from "vitest";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import { signedInStore } from "./offline.ts";

class Socket extends EventTarget {
  readyState = 1;
  readonly send = vi.fn();
  readonly close = vi.fn();
}

/** A device that is signed in. Its clock stands still: nothing ends by itself. `made`: called with the socket of each attempt. */
async function deviceWith(made: (socket: Socket) => void): Promise<Client<CrmEntities>> {
  const store = await signedInStore();
  const credentials = {
    email: "a@b.example",
    workspaceId: "acme",
    userId: "u",
    deviceId: "d",
    role: "agent",
    accessToken: "a",
    accessExpiresMs: Date.now() + 900_000,
    refreshToken: "r",
  };
  await store.write({ localPut: [["credentials", credentials]] });
  return Client.open<CrmEntities>({
    server: "http://127.0.0.1:9",
    ...crm,
    store: async () => store,
    mode: "web_app",
    deviceName: "test",
    platform: {
      WebSocket: class extends Socket {
        constructor() {
          super();
          made(this);
        }
      } as unknown as typeof WebSocket,
      random: (count) => new Uint8Array(count).fill(255),
      monotonicMs: () => 0,
    },
  });
}

const told = (socket: EventTarget, event: Event): void => void setTimeout(() => socket.dispatchEvent(event), 0);
const untilPhase = (client: Client<CrmEntities>, phase: string) =>
  vi.waitFor(async () => expect((await client.status()).phase).toBe(phase));

it("[LIV-1] when the network comes back nobody waits for the end of a back-off, and nobody listens after closing", async () => {
  const attempts = vi.fn((socket: Socket) => told(socket, Object.assign(new Event("close"), { code: 1006 })));
  const client = await deviceWith(attempts);
  await client.start();
  await untilPhase(client, "waiting");
  expect(attempts).toHaveBeenCalledTimes(1);
  globalThis.dispatchEvent(new Event("online"));
  await vi.waitFor(() => expect(attempts).toHaveBeenCalledTimes(2));
  await untilPhase(client, "waiting");
  await client.close();
  globalThis.dispatchEvent(new Event("online"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(attempts).toHaveBeenCalledTimes(2);
});

it("[LIV-1] a connection from before the network went is not waited for, and what is paused stays so", async () => {
  // They open, and then nothing comes through them.
  const attempts = vi.fn((socket: Socket) => told(socket, new Event("open")));
  const client = await deviceWith(attempts);
  await client.start();
  await untilPhase(client, "greeting");
  globalThis.dispatchEvent(new Event("online"));
  await vi.waitFor(() => expect(attempts).toHaveBeenCalledTimes(2));
  const [[first], [second]] = attempts.mock.calls as [[Socket], [Socket]];
  expect(first.close).toHaveBeenCalled();
  await untilPhase(client, "greeting");
  expect(second.send.mock.lastCall?.[0]).toContain('"type":"hello"');
  await client.pause();
  globalThis.dispatchEvent(new Event("online"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(attempts).toHaveBeenCalledTimes(2);
  await client.close();
});
