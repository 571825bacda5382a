/** The real server with demo data on a free port and a fresh folder, for as long as a file of tests runs. */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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
  /** Who may sign in to one without demo data. */
  readonly owner?: { readonly email: string; readonly password: string };
  /** Ends it at once; the data stay for {@link restart}. */
  kill(): Promise<void>;
  /** Starts again on the same data, at the same address. */
  restart(): Promise<Server>;
  /** Ends it as an operator would, and deletes its data. */
  stop(): Promise<void>;
}

/** `config`: settings as a file in TOML has them; `isDemo`: with invented people and leads, else with its first owner alone. */
export async function startServer(config = "", isDemo = true): Promise<Server> {
  if (!existsSync(PROGRAM)) {
    throw new Error(`there is no server at ${PROGRAM}: run \`cargo build\`, or name one in SYNCLINE_BIN`);
  }
  const data = mkdtempSync(join(tmpdir(), "syncline-e2e-"));
  writeFileSync(join(data, "syncline.toml"), config);
  return start(data, "127.0.0.1:0", isDemo);
}

async function start(data: string, listen: string, isDemo: boolean): Promise<Server> {
  const settings = ["--config", join(data, "syncline.toml"), "--data", data, "--listen", listen];
  const child = spawn(PROGRAM, ["serve", ...(isDemo ? ["--demo"] : []), ...settings], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4_000);
  });
  const { url, ...owner } = await greetingOf(child, isDemo).catch((error: Error) => {
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
    ...owner,
    kill: () => end("SIGKILL"),
    restart: () => start(data, new URL(url).host, isDemo),
    stop: async () => {
      await end("SIGTERM");
      rmSync(data, { recursive: true, force: true });
    },
  };
}

/** What a server says when it is there: its address and, on the first start of one without demo data, who may sign in. */
function greetingOf(child: ChildProcess, isDemo: boolean): Promise<Pick<Server, "url" | "owner">> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the server did not start in time")), START_TIMEOUT_MS);
    child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const find = (pattern: RegExp): string | undefined => pattern.exec(said)?.[1];
      const url = find(/listens on (http:\S+)/);
      const [email, password] = [find(/e-mail +(\S+)\n/), find(/password +(\S+)\n/)];
      if (url !== undefined && (isDemo || (email !== undefined && password !== undefined))) {
        clearTimeout(timer);
        resolve({ url, ...(!isDemo && { owner: { email: email ?? "", password: password ?? "" } }) });
      }
    });
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
