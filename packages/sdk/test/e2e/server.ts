/** A server with demo data on a free port, for as long as a file of tests runs. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client, type ClientOptions } from "../../src/index.ts";
import { memory } from "../../src/storage/memory.ts";

/** The built server: `SYNCLINE_BIN`, else what `cargo build` leaves. */
export const PROGRAM =
  process.env.SYNCLINE_BIN ?? fileURLToPath(new URL("../../../../target/debug/syncline", import.meta.url));
export const PASSWORD = "syncline-demo";
const START_TIMEOUT_MS = 50_000;

export interface Server {
  readonly url: string;
  /** Stops it as an operator would, or kills it. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts a server on the same data, at the same address, after a stop. */
  restart(listen: string): Promise<Server>;
}

/** Starts a server on a folder of its own. */
export async function startServer(
  data = mkdtempSync(join(tmpdir(), "syncline-sdk-")),
  listen = "127.0.0.1:0",
  env: Readonly<Record<string, string>> = {},
): Promise<Server> {
  if (!existsSync(PROGRAM)) {
    throw new Error(`there is no server at ${PROGRAM}: run \`cargo build\`, or name one in SYNCLINE_BIN`);
  }
  const child = spawn(PROGRAM, ["serve", "--demo", "--data", data, "--listen", listen], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let log = "";
  child.stderr.on("data", (chunk) => {
    log = (log + chunk).slice(-4_000);
  });
  const url = await addressOf(child).catch((error: Error) => {
    child.kill("SIGKILL");
    throw new Error(`${error.message}\n${log}`);
  });
  return {
    url,
    restart: (listen) => startServer(data, listen, env),
    stop: async (signal = "SIGTERM") => {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await ended;
      if (signal === "SIGTERM") {
        rmSync(data, { recursive: true, force: true });
      }
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the server did not start in time")), START_TIMEOUT_MS);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    if (child.stdout !== null) {
      createInterface(child.stdout).on("line", (line) => {
        const address = /listens on (http:\S+)/.exec(line)?.[1];
        if (address !== undefined) {
          clearTimeout(timer);
          resolve(address);
        }
      });
    }
  });
}

/** A client on a store in memory, signed in and not yet syncing. */
export async function signedIn(
  server: Server,
  email: string,
  options: Partial<ClientOptions> = {},
): Promise<Client<CrmEntities>> {
  const client = await Client.open<CrmEntities>({
    server: server.url,
    ...crm,
    store: memory(),
    mode: "web_app",
    deviceName: `test of ${email}`,
    platform: { WebSocket: WebSocket as unknown as typeof globalThis.WebSocket },
    ...options,
  });
  const signed = await client.signIn({ email, password: PASSWORD });
  if (!signed.ok) {
    throw new Error(JSON.stringify(signed.error));
  }
  return client;
}

/** The value of a result that a test counts on. */
export function value<T>(result: { ok: true; value: T } | { ok: false; error: unknown }): T {
  if (!result.ok) {
    throw new Error(JSON.stringify(result.error));
  }
  return result.value;
}

/** Waits until a condition of a replica holds. */
export async function until(what: string, isMet: () => Promise<boolean>, timeoutMs = 15_000): Promise<void> {
  const endMs = performance.now() + timeoutMs;
  while (!(await isMet())) {
    if (performance.now() > endMs) {
      throw new Error(`not within ${timeoutMs} ms: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
