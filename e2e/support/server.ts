/** The real server with demo data on a free port and a fresh folder, for as long as a file of tests runs. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** The built server: `SYNCLINE_BIN`, else what `cargo build` leaves. */
const PROGRAM = process.env.SYNCLINE_BIN ?? fileURLToPath(new URL("../../target/debug/syncline", import.meta.url));
const START_TIMEOUT_MS = 50_000;

/** People of the demo; everybody has the same password. */
export const PASSWORD = "syncline-demo";
export const OWNER = "demo@syncline.dev";
export const MANAGER = "manager@syncline.dev";
export const AGENT = "agent1@syncline.dev";

export interface Server {
  readonly url: string;
  /** Ends it at once; the data stay for {@link restart}. */
  kill(): Promise<void>;
  /** Starts again on the same data, at the same address. */
  restart(): Promise<Server>;
  /** Ends it as an operator would, and deletes its data. */
  stop(): Promise<void>;
}

/** `config`: settings as a file in TOML has them. */
export async function startServer(config = ""): Promise<Server> {
  if (!existsSync(PROGRAM)) {
    throw new Error(`there is no server at ${PROGRAM}: run \`cargo build\`, or name one in SYNCLINE_BIN`);
  }
  const data = mkdtempSync(join(tmpdir(), "syncline-e2e-"));
  writeFileSync(join(data, "syncline.toml"), config);
  return start(data, "127.0.0.1:0");
}

async function start(data: string, listen: string): Promise<Server> {
  const settings = ["--config", join(data, "syncline.toml"), "--data", data, "--listen", listen];
  const child = spawn(PROGRAM, ["serve", "--demo", ...settings], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4_000);
  });
  const url = await addressOf(child).catch((error: Error) => {
    child.kill("SIGKILL");
    throw new Error(`${error.message}\n${log}`);
  });
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill(signal);
      await ended;
    }
  };
  return {
    url,
    kill: () => end("SIGKILL"),
    restart: () => start(data, new URL(url).host),
    stop: async () => {
      await end("SIGTERM");
      rmSync(data, { recursive: true, force: true });
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

/** A token of a person, for what a test asks of the server directly. */
export async function tokenOf(server: Pick<Server, "url">, email: string): Promise<string> {
  const answer = await fetch(`${server.url}/api/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ email, password: PASSWORD }),
  });
  const { access_token } = (await answer.json()) as { access_token?: string };
  if (access_token === undefined) {
    throw new Error(`${email} could not sign in: ${answer.status}`);
  }
  return access_token;
}

/** Asks the server as a person, without the console. `body`: makes it a POST, with this as JSON. */
export async function askAs(
  server: Pick<Server, "url">,
  email: string,
  path: string,
  body?: object,
): Promise<Response> {
  const headers = { authorization: `Bearer ${await tokenOf(server, email)}`, "content-type": "application/json" };
  return fetch(`${server.url}${path}`, {
    headers,
    ...(body !== undefined && { method: "POST", body: JSON.stringify(body) }),
  });
}
