/** Networks that let no WebSocket through, and some that hold streams back: the session is the same over what is left. */

import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";
import { type FallbackOptions, fallback, type Transport } from "../../src/client/fallback.ts";
import { type Server, signedIn, startServer, until, value } from "./server.ts";

const SYNC_MS = 15_000;

let server: Server;

beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
});

/** What the network of a test lets through. */
const network = { hasSockets: false, hasStreams: true };

class FilteredSocket extends WebSocket {
  constructor(address: string) {
    super(network.hasSockets ? address : "ws://127.0.0.1:9");
  }
}

const filteredFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  // A proxy that passes an answer on when it is whole: a stream never is.
  return String(input).includes("/sse/") && !network.hasStreams ? new Promise<Response>(() => undefined) : response;
};

async function device(email: string, options: FallbackOptions) {
  return signedIn(server, email, {
    connect: fallback(options),
    platform: { WebSocket: FilteredSocket as unknown as typeof globalThis.WebSocket, fetch: filteredFetch },
  });
}

it("[TRA-1] [TRA-3] without WebSockets a stream of events carries edits both ways, live, and then a socket again", async () => {
  network.hasSockets = false;
  network.hasStreams = true;
  const taken: Transport[] = [];
  const dana = await device("demo@syncline.dev", {
    failuresMax: 1,
    retryMs: 300,
    onTransport: (way) => taken.push(way),
  });
  await dana.start();
  expect(await dana.untilSynced(SYNC_MS)).toBe(true);
  expect(taken).toEqual(["events"]);
  const milo = await device("manager@syncline.dev", { failuresMax: 1, retryMs: 60_000 });
  await milo.start();
  expect(await milo.untilSynced(SYNC_MS)).toBe(true);
  const id = value(await dana.db.contacts.create({ firstname: "Over", lastname: "Events" }));
  await until("the other device has it", async () => (await milo.db.contacts.get(id)) !== undefined);
  value(await milo.db.contacts.update(id, { city: "Leith" }));
  await until("and back", async () => (await dana.db.contacts.get(id))?.fields.city === "Leith");

  network.hasSockets = true;
  await until("the connection goes back to a socket by itself", async () => taken.at(-1) === "websocket");
  value(await dana.db.contacts.update(id, { city: "Oban" }));
  expect(await dana.untilSynced(SYNC_MS)).toBe(true);
  await until("the other device has that too", async () => (await milo.db.contacts.get(id))?.fields.city === "Oban");
  await Promise.all([dana.close(), milo.close()]);
});

it("[TRA-2] [TRA-3] where streams are held back too, long polls do", async () => {
  network.hasSockets = false;
  network.hasStreams = false;
  const taken: Transport[] = [];
  const dana = await device("demo@syncline.dev", { failuresMax: 1, onTransport: (way) => taken.push(way) });
  await dana.start();
  expect(await dana.untilSynced(60_000)).toBe(true);
  expect(taken).toEqual(["events", "poll"]);
  const milo = await signedIn(server, "manager@syncline.dev");
  await milo.start();
  expect(await milo.untilSynced(SYNC_MS)).toBe(true);
  const id = value(await dana.db.contacts.create({ firstname: "Over", lastname: "Polls" }));
  await until("the other device has it", async () => (await milo.db.contacts.get(id)) !== undefined);
  value(await milo.db.contacts.update(id, { city: "Leith" }));
  await until("and back", async () => (await dana.db.contacts.get(id))?.fields.city === "Leith");
  await Promise.all([dana.close(), milo.close()]);
}, 90_000);

it("a server that is not there at all is waited for, whatever way is tried", async () => {
  network.hasSockets = true;
  const { host } = new URL(server.url);
  const dana = await device("demo@syncline.dev", { failuresMax: 1 });
  await dana.start();
  expect(await dana.untilSynced(SYNC_MS)).toBe(true);
  await server.stop("SIGKILL");
  value(await dana.db.contacts.create({ firstname: "Meanwhile" }));
  server = await server.restart(host);
  expect(await dana.untilSynced(60_000)).toBe(true);
  await dana.close();
}, 90_000);
