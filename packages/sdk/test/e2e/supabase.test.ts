import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import WebSocket from "ws";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import { memory } from "../../src/storage/memory.ts";
import { type Server, startServer, value } from "./server.ts";

const SECRET = "a shared secret of at least 32 bytes";
const EMAIL = "agent1@syncline.dev";
const SUBJECT = "7b3c9e52-1d0b-4c8e-9d58-0d9f3a1c2b4d";
let project: ReturnType<typeof createServer>;
let address: string;
let server: Server;

beforeAll(async () => {
  // What the project says of the account that any token speaks for.
  project = createServer((_, response) => {
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ id: SUBJECT, email: EMAIL, email_confirmed_at: "2026-01-01T00:00:00Z" }));
  });
  await new Promise<void>((resolve) => project.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(project.address() as AddressInfo).port}`;
  const env = { SUPABASE_URL: address, SUPABASE_JWT_SECRET: SECRET, SUPABASE_ANON_KEY: "anon" };
  server = await startServer(undefined, undefined, env);
});
afterAll(async () => {
  await server.stop();
  project.close();
});

function token(secret: string): string {
  const nowS = Math.floor(Date.now() / 1_000);
  const claims = { iss: `${address}/auth/v1`, aud: "authenticated", sub: SUBJECT, email: EMAIL, role: "authenticated" };
  const parts = [
    { alg: "HS256", typ: "JWT" },
    { ...claims, iat: nowS, exp: nowS + 600 },
  ];
  const text = parts.map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

it("[AUT-4] a Supabase token signs in, and one of another project does not", async () => {
  const client = await Client.open<CrmEntities>({
    server: server.url,
    ...crm,
    store: memory(),
    mode: "web_app",
    deviceName: "test",
    platform: { WebSocket: WebSocket as unknown as typeof globalThis.WebSocket },
  });
  const refused = await client.signIn({ email: EMAIL, supabaseToken: token(`another ${SECRET}`) });
  expect(refused).toMatchObject({ ok: false, error: { failure: "refused" } });
  const signed = value(await client.signIn({ email: EMAIL, supabaseToken: token(SECRET) }));
  expect(signed.email).toBe(EMAIL);
  await client.start();
  expect(await client.untilSynced(15_000)).toBe(true);
  expect((await client.db.leads.select({ limit: 1 })).length).toBe(1);
  await client.close();
});
