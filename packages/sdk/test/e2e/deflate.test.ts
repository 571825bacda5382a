/** npm's `ws` with permessage-deflate against the server, below the SDK: what one says is what the other hears. */

import { randomInt, randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";
import { PASSWORD, type Server, startServer } from "./server.ts";

const TEXTS = 2_000;
const PER_FRAME = 10;
const PATIENCE_MS = 60_000;

let server: Server;

beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
});

interface Frame {
  readonly type: string;
  readonly [member: string]: unknown;
}

/** A socket that has said hello; what it hears goes to `heard`. */
async function connected(perMessageDeflate: boolean | object, heard: (frame: Frame) => void): Promise<WebSocket> {
  const answer = await fetch(`${server.url}/api/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email: "demo@syncline.dev", password: PASSWORD }),
  });
  const { access_token, device_id } = (await answer.json()) as { access_token: string; device_id: string };
  const client_id = uuidV7();
  const socket = new WebSocket(`ws${server.url.slice(4)}/ws/web_app/${client_id}`, { perMessageDeflate });
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const hello = {
    type: "hello",
    proto: [1, 1],
    client_id,
    device_id,
    deployment_mode: "web_app",
    schema: { version: 1, hash: "" },
    next_client_seq: 1,
    pending_count: 0,
    oldest_pending_age_ms: 0,
    scopes: [],
  };
  const isWelcome = new Promise<void>((resolve) => {
    socket.on("message", (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      if (frame.type === "welcome") {
        resolve();
      }
      heard(frame);
    });
  });
  socket.send(JSON.stringify({ type: "auth", token: access_token }));
  socket.send(JSON.stringify(hello));
  await isWelcome;
  return socket;
}

function uuidV7(): string {
  const time = Date.now().toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/** Texts of every size, easy and hard to compress; with letters of one to four bytes. */
function randomText(number: number): string {
  const size = randomInt([20, 300, 3_000, 9_000][number % 4] ?? 20) + 1;
  const letters = number % 3 === 0 ? ["a", "b"] : ["x", "é", "ß", "語", "😀", String.fromCharCode(97 + randomInt(26))];
  return Array.from({ length: size }, () => letters[randomInt(letters.length)] as string).join("");
}

it("[SES-10] random texts are heard as they were said, compressed and not", async () => {
  const said = new Map<string, string>();
  const heard = { deflated: new Map<string, string>(), plain: new Map<string, string>() };
  const collect = (into: Map<string, string>) => (frame: Frame) => {
    if (frame.type !== "batch") {
      return;
    }
    const changes = frame.changes as { ops: { id: string; fields?: { notes?: string } }[] }[];
    for (const op of changes.flatMap((change) => change.ops)) {
      if (said.has(op.id)) {
        into.set(op.id, op.fields?.notes ?? "");
      }
    }
  };
  let outcomes = 0;
  const author = await connected({ threshold: 0 }, (frame) => {
    expect(frame.type).not.toBe("error");
    outcomes += frame.type === "outcomes" ? (frame.outcomes as unknown[]).length : 0;
  });
  const readers = [await connected(true, collect(heard.deflated)), await connected(false, collect(heard.plain))];
  expect(author.extensions).toContain("permessage-deflate");
  expect(readers.map((reader) => reader.extensions !== "")).toEqual([true, false]);
  for (let seq = 1; seq <= TEXTS; seq += PER_FRAME) {
    const mutations = Array.from({ length: PER_FRAME }, (_, index) => {
      const [id, notes] = [uuidV7(), randomText(seq + index)];
      said.set(id, notes);
      const ops = [{ op: "create", entity: "contacts", id, fields: { firstname: "x", notes } }];
      return { mutation_id: uuidV7(), client_seq: seq + index, age_ms: 0, ops };
    });
    author.send(JSON.stringify({ type: "push", mutations }));
    await expect.poll(() => outcomes, { timeout: PATIENCE_MS, interval: 2 }).toBe(seq + PER_FRAME - 1);
  }
  for (const part of [heard.deflated, heard.plain]) {
    await expect.poll(() => part.size, { timeout: PATIENCE_MS }).toBe(TEXTS);
    expect(part).toEqual(said);
  }
  for (const socket of [author, ...readers]) {
    socket.close();
  }
}, 120_000);
