/**
 * Records over HTTP, for what is not kept on the device: reports, admin pages, scripts. Typed by the same schema. A request
 * renews the token when it has run out, waits its turn, and is tried again with full jitter while the reason is transient;
 * writes carry a key, so trying again never does them twice.
 */

import type { Failure, Renew } from "../client/auth.ts";
import type { EntityTypes } from "../client/entity.ts";
import { isArray, isObject, type Json, type JsonObject, member } from "../json.ts";
import type { Problem } from "../protocol/codes.ts";
import { err, ok, type Result } from "../result.ts";
import { type Bucket, backoffMs, type Pace, takeTurn } from "./pace.ts";

export interface RestOptions {
  /** Base address of the server. */
  readonly server: string;
  /** For example `(renew) => client.token(renew)`. */
  readonly token: (renew: Renew) => Promise<Result<string, Failure>>;
  /** At most so many requests leave; default 600 a minute, 20 at once. The server has limits of its own. */
  readonly pace?: Pace;
  /** Attempts of one request; default 5. */
  readonly attemptsMax?: number;
  /** Called with every request before it is sent; returns it, or another one. */
  readonly onRequest?: (request: Request) => Request | Promise<Request>;
  /** Called with every answer; `tookMs` since it was sent. */
  readonly onResponse?: (response: Response, tookMs: number) => void;
  readonly platform?: Partial<RestPlatform>;
}

export interface RestPlatform {
  readonly fetch: typeof fetch;
  monotonicMs(): number;
  /** From 0 up to 1. */
  random(): number;
  wait(ms: number): Promise<void>;
  /** A new key for a write. */
  key(): string;
}

/** A record as REST shows it. */
export type RestRecord<T extends EntityTypes> = T["record"] & { readonly id: string; readonly rv: number };

export interface ListOf<T extends EntityTypes> {
  /** Equalities by field. */
  readonly where?: { readonly [Name in keyof T["record"]]?: string | number | boolean };
  readonly sort?: Extract<keyof T["record"], string>;
  readonly isDescending?: boolean;
  /** Records of a page, 1 to 500. */
  readonly limit?: number;
  /** Where the page before ended: its `next`. */
  readonly after?: string;
}

export interface PageOf<T extends EntityTypes> {
  readonly items: readonly RestRecord<T>[];
  /** There is more, from here on. */
  readonly next?: string;
}

/** How one write of several ended. */
export interface BulkResult {
  readonly id: string;
  readonly outcome: "applied" | "merged" | "superseded" | "in_review" | "rejected";
  readonly code?: string;
  readonly detail?: string;
}

export type BulkWrite<T extends EntityTypes> =
  | { readonly op: "create"; readonly id?: string; readonly fields: T["create"] }
  | { readonly op: "update"; readonly id: string; readonly rv?: number; readonly fields: T["update"] }
  | { readonly op: "delete"; readonly id: string; readonly rv?: number };

const PACE: Pace = { perMinute: 600, burst: 20 };
const ATTEMPTS_MAX = 5;
const ANSWER_TIMEOUT_MS = 60_000;
/** Requests that wait for their turn. More are refused: whoever makes them is faster than they may be. */
const WAITING_MAX = 1_000;
/** Writes of one request. */
const BULK_MAX = 256;

export class Rest<Types> {
  readonly #options: RestOptions;
  readonly #platform: RestPlatform;
  #bucket: Bucket;
  #waiting = 0;

  constructor(options: RestOptions) {
    this.#options = options;
    this.#platform = {
      fetch: (...request) => globalThis.fetch(...request),
      monotonicMs: () => performance.now(),
      random: () => Math.random(),
      wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      key: () => crypto.randomUUID(),
      ...options.platform,
    };
    this.#bucket = { left: (options.pace ?? PACE).burst, atMs: this.#platform.monotonicMs() };
  }

  /** One entity of the schema. */
  entity<Name extends Extract<keyof Types, string>>(name: Name): RestEntity<TypesOf<Types, Name>> {
    return new RestEntity((ask) => this.request(ask), name);
  }

  /** Any request of the API; `path` begins with a slash. The answer's body, `null` when it has none. */
  async request(ask: Ask): Promise<Result<Json, Failure>> {
    if (this.#waiting >= WAITING_MAX) {
      return err(refused("rate_limited", `${WAITING_MAX} requests wait already: make fewer`));
    }
    this.#waiting += 1;
    try {
      return await this.#attempts(ask, ask.method === "GET" ? undefined : this.#platform.key());
    } finally {
      this.#waiting -= 1;
    }
  }

  async #attempts(ask: Ask, key: string | undefined): Promise<Result<Json, Failure>> {
    let renew: Renew = "if_needed";
    for (let attempt = 0; ; attempt++) {
      const answer = await this.#attempt(ask, key, renew);
      if (answer.ok || attempt + 1 >= (this.#options.attemptsMax ?? ATTEMPTS_MAX)) {
        return answer;
      }
      const { error } = answer;
      if (error.failure === "sign_in_needed") {
        return answer;
      }
      const problem = error.failure === "refused" ? error.problem : undefined;
      // A proxy's words are not the server's: whatever has no problem of ours is tried again (spec ERR-1).
      switch (problem?.class ?? "transient") {
        case "transient":
          await this.#platform.wait(backoffMs(attempt, this.#platform.random(), problem?.retry_ms));
          break;
        case "session":
          if (renew === "always") {
            return answer;
          }
          renew = "always";
          break;
        default:
          return answer;
      }
    }
  }

  async #attempt(ask: Ask, key: string | undefined, renew: Renew): Promise<Result<Json, Failure>> {
    const turn = takeTurn(this.#bucket, this.#options.pace ?? PACE, this.#platform.monotonicMs());
    this.#bucket = turn.bucket;
    if (turn.waitMs > 0) {
      await this.#platform.wait(turn.waitMs);
    }
    const token = await this.#options.token(renew);
    if (!token.ok) {
      return token;
    }
    const headers = new Headers({ authorization: `Bearer ${token.value}`, ...ask.headers });
    if (key !== undefined) {
      headers.set("idempotency-key", key);
    }
    if (ask.body !== undefined) {
      headers.set("content-type", "application/json");
    }
    try {
      const made = new Request(this.#options.server + ask.path, {
        method: ask.method,
        headers,
        ...(ask.body !== undefined && { body: JSON.stringify(ask.body) }),
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      const request = (await this.#options.onRequest?.(made)) ?? made;
      const sentMs = this.#platform.monotonicMs();
      const response = await this.#platform.fetch(request);
      this.#options.onResponse?.(response, this.#platform.monotonicMs() - sentMs);
      const text = await response.text();
      const body = text === "" ? null : (JSON.parse(text) as Json);
      return response.ok ? ok(body) : err(failureOf(response.status, body));
    } catch (error) {
      return err({ failure: "unreachable", message: error instanceof Error ? error.message : String(error) });
    }
  }
}

type TypesOf<Types, Name extends keyof Types> = Types[Name] extends EntityTypes ? Types[Name] : never;

/** A request as a program asks for it. */
export interface Ask {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Json;
}

export class RestEntity<T extends EntityTypes> {
  readonly #request: (ask: Ask) => Promise<Result<Json, Failure>>;
  readonly #name: string;
  /** Writes of this moment, on their way into one request. */
  #batch:
    | { readonly writes: BulkWrite<T>[]; readonly answer: Promise<Result<readonly BulkResult[], Failure>> }
    | undefined;

  constructor(request: (ask: Ask) => Promise<Result<Json, Failure>>, name: string) {
    this.#request = request;
    this.#name = name;
  }

  /** One page. */
  async list(list: ListOf<T> = {}): Promise<Result<PageOf<T>, Failure>> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(list.where ?? {})) {
      query.set(name, String(value));
    }
    if (list.sort !== undefined) {
      query.set("sort", (list.isDescending === true ? "-" : "") + list.sort);
    }
    if (list.limit !== undefined) {
      query.set("limit", String(list.limit));
    }
    if (list.after !== undefined) {
      query.set("after", list.after);
    }
    return shaped(await this.#request({ method: "GET", path: `/api/records/${this.#name}?${query}` }), (body) => {
      const [items, next] = [member(body, "items"), member(body, "next")];
      return isArray(items)
        ? { items: items as unknown as RestRecord<T>[], ...(typeof next === "string" && { next }) }
        : undefined;
    });
  }

  /** All pages, one after another, as they are asked for; ends with the first failure. */
  async *pages(list: ListOf<T> = {}): AsyncGenerator<Result<PageOf<T>, Failure>> {
    let after = list.after;
    do {
      const page: Result<PageOf<T>, Failure> = await this.list({ ...list, ...(after !== undefined && { after }) });
      yield page;
      after = page.ok ? page.value.next : undefined;
    } while (after !== undefined);
  }

  async get(id: string): Promise<Result<RestRecord<T>, Failure>> {
    return recordOf(await this.#request({ method: "GET", path: this.#path(id) }));
  }

  /** Returns the record as the server has made it; `undefined`: it is where the caller may not see it. */
  async create(fields: T["create"]): Promise<Result<RestRecord<T> | undefined, Failure>> {
    return this.#written({ method: "POST", path: `/api/records/${this.#name}`, body: fields as unknown as JsonObject });
  }

  /** Changes fields; with `rv` only while the record is still at it (`precondition_failed` otherwise). */
  async update(id: string, fields: T["update"], rv?: number): Promise<Result<RestRecord<T> | undefined, Failure>> {
    const body = fields as unknown as JsonObject;
    return this.#written({ method: "PATCH", path: this.#path(id), body, ...matching(rv) });
  }

  async delete(id: string, rv?: number): Promise<Result<undefined, Failure>> {
    const answer = await this.#request({ method: "DELETE", path: this.#path(id), ...matching(rv) });
    return answer.ok ? ok(undefined) : answer;
  }

  /** Up to 256 writes in one request, all or nothing when `isAtomic`, otherwise each by itself. */
  async bulk(writes: readonly BulkWrite<T>[], isAtomic = false): Promise<Result<readonly BulkResult[], Failure>> {
    const body = { atomic: isAtomic, operations: writes as unknown as readonly Json[] };
    return shaped(await this.#request({ method: "POST", path: `/api/records/${this.#name}/bulk`, body }), (answer) => {
      const results = member(answer, "results");
      return isArray(results) && results.length === writes.length ? (results as unknown as BulkResult[]) : undefined;
    });
  }

  /** One write that shares its request with all others of the same moment: a loop of them costs one round trip. */
  async batched(write: BulkWrite<T>): Promise<Result<BulkResult, Failure>> {
    if (this.#batch === undefined || this.#batch.writes.length >= BULK_MAX) {
      const writes: BulkWrite<T>[] = [];
      const answer = Promise.resolve().then(() => {
        this.#batch = this.#batch?.writes === writes ? undefined : this.#batch;
        return this.bulk(writes);
      });
      this.#batch = { writes, answer };
    }
    const { writes, answer } = this.#batch;
    const index = writes.push(write) - 1;
    const answered = await answer;
    const result = answered.ok ? answered.value[index] : undefined;
    return result === undefined ? (answered as Result<never, Failure>) : ok(result);
  }

  async #written(ask: Ask): Promise<Result<RestRecord<T> | undefined, Failure>> {
    const answer = await this.#request(ask);
    return answer.ok && answer.value === null ? ok(undefined) : recordOf(answer);
  }

  #path(id: string): string {
    return `/api/records/${this.#name}/${encodeURIComponent(id)}`;
  }
}

function recordOf<T extends EntityTypes>(answer: Result<Json, Failure>): Result<RestRecord<T>, Failure> {
  return shaped(answer, (body) =>
    typeof member(body, "id") === "string" ? (body as unknown as RestRecord<T>) : undefined,
  );
}

function matching(rv: number | undefined): { headers?: Record<string, string> } {
  return rv === undefined ? {} : { headers: { "if-match": `"${rv}"` } };
}

/** What a body holds, or that it is not what this server answers. */
function shaped<T>(answer: Result<Json, Failure>, read: (body: JsonObject) => T | undefined): Result<T, Failure> {
  if (!answer.ok) {
    return answer;
  }
  const value = isObject(answer.value) ? read(answer.value) : undefined;
  return value === undefined
    ? err({ failure: "unreachable", message: "the answer is not one of this version of Syncline" })
    : ok(value);
}

function failureOf(status: number, body: Json): Failure {
  const isOurs = isObject(body) && ["code", "class", "message"].every((name) => typeof member(body, name) === "string");
  return isOurs
    ? { failure: "refused", problem: body as unknown as Problem }
    : { failure: "unreachable", message: `status ${status}, which is not an answer of Syncline` };
}

function refused(code: "rate_limited", message: string): Failure {
  return { failure: "refused", problem: { code, class: "transient", message } };
}
