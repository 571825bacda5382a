/** Who is signed in on this device: signing in, renewing tokens, asking over HTTP (spec §17). */

import { isObject, type Json, type JsonObject, member } from "../json.ts";
import type { Problem } from "../protocol/codes.ts";
import type { DeploymentMode } from "../protocol/frames.ts";
import { type ReplicaStore, StoreError } from "../replica/store.ts";
import { err, ok, type Result } from "../result.ts";
import { mintId, type Platform } from "./platform.ts";

/** A sign-in. The access token lives for minutes, the refresh token until it is used. */
export interface Credentials {
  readonly email: string;
  readonly workspaceId: string;
  readonly userId: string;
  readonly deviceId: string;
  readonly role: string;
  readonly accessToken: string;
  /** On the device's clock. */
  readonly accessExpiresMs: number;
  readonly refreshToken: string;
  /** A renewal was begun under this key: its answer may have been lost on its way to the disk, and is asked for again. */
  readonly renewalKey?: string;
  /** The device was revoked: good for handing over what is pending, and nothing else (spec REV-3). */
  readonly depositToken?: string;
}

export type SignIn = {
  readonly email: string;
  /** Needed by members of several workspaces. */
  readonly workspace?: string;
} & (
  | { readonly password: string }
  /** Access token of the Supabase project that the server trusts; `email` is how the person is shown here. */
  | { readonly supabaseToken: string }
);

/** The device that signs in, as the list of devices shows it. */
export interface Device {
  readonly id: string;
  readonly name: string;
  readonly mode: DeploymentMode;
}

/** Why there is no token or no answer. Everything local is kept. */
export type Failure =
  /** A person must sign in (again). */
  | { readonly failure: "sign_in_needed"; readonly message: string }
  /** No answer of this server was to be had. */
  | { readonly failure: "unreachable"; readonly message: string }
  /** The server said no. */
  | { readonly failure: "refused"; readonly problem: Problem };

/** Which token will do. */
export type Renew = "if_needed" | "always";

/** An access token with less than this left is renewed before it is used. */
const RENEW_BEFORE_MS = 30_000;
/** How long an answer may take to begin. */
const ANSWER_TIMEOUT_MS = 30_000;
/** How long signing out waits for the server: nobody waits at a counter for a network. */
const LOGOUT_TIMEOUT_MS = 3_000;
/** Under this key the store keeps the sign-in. */
const CREDENTIALS_KEY = "credentials";

export class Auth {
  readonly #server: string;
  readonly #platform: Platform;
  readonly #store: ReplicaStore;
  #credentials: Credentials | undefined;
  /** They are on disk. */
  #isKept = true;
  /** Sign-ins that were forgotten, so far. */
  #life = 0;
  /** A renewal under way: a refresh token is spent by its first use, so there is never a second beside it. */
  #renewal: Promise<Result<string, Failure>> | undefined;

  private constructor(server: string, platform: Platform, store: ReplicaStore, credentials: Credentials | undefined) {
    this.#server = server;
    this.#platform = platform;
    this.#store = store;
    this.#credentials = credentials;
  }

  /** `server`: base address without a slash at the end. */
  static async open(server: string, platform: Platform, store: ReplicaStore): Promise<Auth> {
    const held = await store.local(CREDENTIALS_KEY);
    return new Auth(server, platform, store, held === undefined ? undefined : (held as unknown as Credentials));
  }

  get credentials(): Credentials | undefined {
    return this.#credentials;
  }

  /** Signs in. Nothing is kept until {@link keep}: the caller looks first whose data the store holds. */
  async signIn(signIn: SignIn, device: Device): Promise<Result<Credentials, Failure>> {
    const answer = await this.#post("/api/auth/login", {
      ...("password" in signIn
        ? { email: signIn.email, password: signIn.password }
        : { credentials: { supabase_token: signIn.supabaseToken } }),
      ...(signIn.workspace !== undefined && { workspace: signIn.workspace }),
      device: { device_id: device.id, name: device.name, deployment_mode: device.mode },
    });
    return answer.ok ? this.#tokens(answer.value, signIn.email) : answer;
  }

  /** Keeps a sign-in: it is durable when this resolves. */
  async keep(credentials: Credentials): Promise<void> {
    await this.#store.write({ localPut: [[CREDENTIALS_KEY, { ...credentials }]] });
    this.#credentials = credentials;
    this.#isKept = true;
  }

  /** Keeps what cannot be had a second time in memory at least, and on disk with the first call that can write there. */
  async #hold(credentials: Credentials, life: number): Promise<void> {
    // Signed out meanwhile: nothing of it is to be on the device again.
    if (life !== this.#life) {
      return;
    }
    this.#credentials = credentials;
    this.#isKept = false;
    await this.#keepHeld();
  }

  async #keepHeld(): Promise<void> {
    if (this.#credentials !== undefined && !this.#isKept) {
      await this.keep(this.#credentials).catch((error: unknown) => {
        if (!(error instanceof StoreError)) {
          throw error;
        }
      });
    }
  }

  /** Ends the sign-in on the server, when it can be reached. The device forgets it with {@link forget}. */
  async end(): Promise<void> {
    const token = await this.bearer("if_needed");
    if (token.ok) {
      await this.#post("/api/auth/logout", {}, { authorization: `Bearer ${token.value}` }, LOGOUT_TIMEOUT_MS);
    }
  }

  /** Forgets who was signed in, and every answer that is still to come. Whoever calls this wipes the store afterwards. */
  forget(): void {
    this.#life++;
    this.#isKept = true;
    this.#credentials = undefined;
  }

  /** A token to speak with: the access token, renewed when it has run out; of a revoked device its deposit token. */
  async bearer(renew: Renew): Promise<Result<string, Failure>> {
    await this.#keepHeld();
    const held = this.#credentials;
    if (held === undefined) {
      return err({ failure: "sign_in_needed", message: "nobody is signed in on this device" });
    }
    if (renew === "if_needed") {
      if (held.depositToken !== undefined) {
        return ok(held.depositToken);
      }
      if (held.accessExpiresMs > this.#platform.wallMs() + RENEW_BEFORE_MS) {
        return ok(held.accessToken);
      }
    }
    this.#renewal ??= this.#refresh(held).finally(() => {
      this.#renewal = undefined;
    });
    return this.#renewal;
  }

  /** An authenticated GET of a path of the server, renewing the token once when it is refused. */
  async get(path: string, signal: AbortSignal, renew: Renew = "if_needed"): Promise<Result<Response, Failure>> {
    const token = await this.bearer(renew);
    if (!token.ok) {
      return token;
    }
    const response = await this.#request(path, { headers: { authorization: `Bearer ${token.value}` }, signal });
    if (!response.ok || response.value.ok) {
      return response;
    }
    return response.value.status === 401 && renew === "if_needed"
      ? this.get(path, signal, "always")
      : err(await failureOf(response.value));
  }

  /** Exchanges the refresh token. A lost answer may be asked for again for a minute (`Idempotency-Key`). */
  async #refresh(held: Credentials): Promise<Result<string, Failure>> {
    const life = this.#life;
    const key = held.renewalKey ?? mintId(this.#platform);
    // On disk before it is asked for: whoever dies with the answer in hand asks for the same one again.
    await this.#hold({ ...held, renewalKey: key }, life);
    const body = { refresh_token: held.refreshToken };
    let answer = await this.#post("/api/auth/refresh", body, { "idempotency-key": key });
    if (!answer.ok && answer.error.failure === "unreachable") {
      answer = await this.#post("/api/auth/refresh", body, { "idempotency-key": key });
    }
    if (!answer.ok) {
      const problem = answer.error.failure === "refused" ? answer.error.problem : undefined;
      const depositToken = problem === undefined ? null : member({ ...problem }, "deposit_token");
      if (typeof depositToken === "string") {
        await this.#hold({ ...held, depositToken }, life);
        return ok(depositToken);
      }
      return problem?.class === "session" ? err({ failure: "sign_in_needed", message: problem.message }) : answer;
    }
    const renewed = this.#tokens(answer.value, held.email);
    if (!renewed.ok) {
      return renewed;
    }
    // Stored before it is used: the old refresh token is spent already (spec AUT-2).
    await this.#hold(renewed.value, life);
    return ok(renewed.value.accessToken);
  }

  #tokens(body: Json, email: string): Result<Credentials, Failure> {
    const text = (name: string): string => {
      const value = isObject(body) ? member(body, name) : null;
      return typeof value === "string" ? value : "";
    };
    const expiresInS = isObject(body) ? member(body, "expires_in_s") : null;
    const credentials: Credentials = {
      email,
      workspaceId: text("workspace_id"),
      userId: text("user_id"),
      deviceId: text("device_id"),
      role: text("role"),
      accessToken: text("access_token"),
      accessExpiresMs: this.#platform.wallMs() + Number(expiresInS) * 1_000,
      refreshToken: text("refresh_token"),
    };
    const isWhole = Object.values(credentials).every((value) => value !== "" && !Number.isNaN(value));
    return isWhole ? ok(credentials) : err({ failure: "unreachable", message: "the answer is not one of Syncline" });
  }

  async #post(
    path: string,
    body: Json,
    headers: Record<string, string> = {},
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<Result<Json, Failure>> {
    const response = await this.#request(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) {
      return response;
    }
    if (!response.value.ok) {
      return err(await failureOf(response.value));
    }
    try {
      return ok((await response.value.json()) as Json);
    } catch (error) {
      return err(unreachable(error));
    }
  }

  async #request(path: string, init: RequestInit): Promise<Result<Response, Failure>> {
    try {
      return ok(await this.#platform.fetch(`${this.#server}${path}`, init));
    } catch (error) {
      return err(unreachable(error));
    }
  }
}

function unreachable(error: unknown): Failure {
  return { failure: "unreachable", message: String(error instanceof Error ? error.message : error) };
}

/** The error an answer carries, or that it carries none of ours: a proxy's 403 must not cost anybody anything (ERR-1). */
async function failureOf(response: Response): Promise<Failure> {
  const body = (await response.json().catch(() => null)) as Json;
  const problem = isObject(body) ? problemOf(body) : undefined;
  return problem === undefined
    ? { failure: "unreachable", message: `status ${response.status}, which is not an answer of Syncline` }
    : { failure: "refused", problem };
}

/** A problem as the protocol has it; the code and the class may be those of a later server. */
function problemOf(body: JsonObject): Problem | undefined {
  const isWhole = ["code", "class", "message"].every((name) => typeof member(body, name) === "string");
  return isWhole ? (body as unknown as Problem) : undefined;
}
