// @vitest-environment happy-dom
import { expect, it, vi } from "vitest";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import { signedInStore } from "./offline.ts";

it("[LIV-1] when the network comes back nobody waits for the end of a back-off, and nobody listens after closing", async () => {
  const store = await signedInStore();
  const attempts = vi.fn();
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
  class NoNetwork extends EventTarget {
    constructor() {
      super();
      attempts();
      setTimeout(() => this.dispatchEvent(Object.assign(new Event("close"), { code: 1006 })), 0);
    }
    close(): void {}
  }
  const client = await Client.open<CrmEntities>({
    server: "http://127.0.0.1:9",
    ...crm,
    store: async () => store,
    mode: "web_app",
    deviceName: "test",
    // A clock that stands still: no back-off ever ends by itself.
    platform: {
      WebSocket: NoNetwork as unknown as typeof WebSocket,
      random: (count) => new Uint8Array(count).fill(255),
      monotonicMs: () => 0,
    },
  });
  const waiting = () => vi.waitFor(async () => expect((await client.status()).phase).toBe("waiting"));
  await client.start();
  await waiting();
  expect(attempts).toHaveBeenCalledTimes(1);
  globalThis.dispatchEvent(new Event("online"));
  await vi.waitFor(() => expect(attempts).toHaveBeenCalledTimes(2));
  await waiting();
  await client.close();
  globalThis.dispatchEvent(new Event("online"));
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(attempts).toHaveBeenCalledTimes(2);
});
