/** Requests at their edges: networks that fail, servers that ask for patience, tokens that run out. */

import fc from "fast-check";
import { expect, it } from "vitest";
import type { CrmEntities } from "../../src/crm/index.ts";
import { backoffMs, takeTurn } from "../../src/rest/pace.ts";
import { Rest, type RestOptions } from "../../src/rest/rest.ts";
import { ok } from "../../src/result.ts";

type Reply = { readonly status: number; readonly body?: unknown } | "cut";

/** A server that answers with these replies in turn, and a clock that only waiting moves. */
function bed(replies: readonly Reply[], options: Partial<RestOptions> = {}) {
  const requests: { method: string; path: string; key: string | null; token: string | null; body: unknown }[] = [];
  const waits: number[] = [];
  let nowMs = 0;
  const rest = new Rest<CrmEntities>({
    server: "http://server.example",
    token: async (renew) => ok(renew === "always" ? "new" : "old"),
    ...options,
    platform: {
      monotonicMs: () => nowMs,
      random: () => 0.5,
      key: () => `key ${requests.length}`.replace(" ", "-"),
      wait: async (ms) => {
        waits.push(ms);
        nowMs += ms;
      },
      fetch: async (input) => {
        const request = input as Request;
        const text = await request.text();
        const reply = replies[requests.length] ?? "cut";
        requests.push({
          method: request.method,
          path: request.url.replace("http://server.example", ""),
          key: request.headers.get("idempotency-key"),
          token: request.headers.get("authorization"),
          body: text === "" ? null : JSON.parse(text),
        });
        if (reply === "cut") {
          throw new TypeError("fetch failed");
        }
        const body = reply.body === undefined ? null : JSON.stringify(reply.body);
        return new Response(body, { status: reply.status });
      },
    },
  });
  return { rest, requests, waits };
}

const problem = (code: string, errorClass: string, more: object = {}) => ({
  code,
  class: errorClass,
  message: "m",
  ...more,
});
const record = { id: "1", rv: 2, firstname: "Ada" };

it("a write that may have happened is sent again under the same key", async () => {
  const { rest, requests, waits } = bed([
    "cut",
    { status: 503, body: problem("unavailable", "transient") },
    { status: 201, body: record },
  ]);
  const created = await rest.entity("contacts").create({ firstname: "Ada" });
  expect(created).toEqual({ ok: true, value: record });
  expect(requests.map(({ key }) => key)).toEqual(["key-0", "key-0", "key-0"]);
  // Half of 501 and of 1,001: full jitter with a fraction of one half.
  expect(waits).toEqual([250, 500]);
});

it("[LIV-1] the server's wish wins over the back-off, and attempts end", async () => {
  const slow = { status: 429, body: problem("rate_limited", "transient", { retry_ms: 3_000 }) };
  const { rest, requests, waits } = bed([slow, slow, slow], { attemptsMax: 3 });
  expect(await rest.entity("leads").get("1")).toMatchObject({
    ok: false,
    error: { problem: { code: "rate_limited" } },
  });
  expect([requests.length, waits]).toEqual([3, [3_000, 3_000]]);
});

it("[ERR-1] an error that is not ours, such as a proxy's 403, is tried again; ours is not", async () => {
  const { rest, requests } = bed([
    { status: 403, body: "<html>" },
    { status: 422, body: problem("validation", "rejected") },
  ]);
  expect(await rest.entity("contacts").update("1", { city: "x" })).toMatchObject({
    error: { problem: { code: "validation" } },
  });
  expect(requests).toHaveLength(2);
});

it("a token that was refused is renewed once", async () => {
  const expired = { status: 401, body: problem("token_expired", "session") };
  const { rest, requests } = bed([expired, { status: 200, body: record }, expired, expired]);
  expect(await rest.entity("contacts").get("1")).toMatchObject({ ok: true });
  expect(requests.map(({ token }) => token)).toEqual(["Bearer old", "Bearer new"]);
  expect(await rest.entity("contacts").get("1")).toMatchObject({ error: { problem: { code: "token_expired" } } });
  expect(requests).toHaveLength(4);
});

it("writes of one moment share a request, and each has its own result", async () => {
  const results = [
    { id: "1", outcome: "applied" },
    { id: "2", outcome: "rejected", code: "gone" },
  ];
  const { rest, requests } = bed([
    { status: 200, body: { results } },
    { status: 200, body: { results: results.slice(0, 1) } },
  ]);
  const tasks = rest.entity("tasks");
  const both = await Promise.all([
    tasks.batched({ op: "create", fields: { title: "a" } }),
    tasks.batched({ op: "delete", id: "2" }),
  ]);
  expect(both.map((each) => each.ok && each.value.outcome)).toEqual(["applied", "rejected"]);
  expect(requests).toHaveLength(1);
  expect(await tasks.batched({ op: "delete", id: "3" })).toMatchObject({ ok: true });
  expect(requests).toHaveLength(2);
});

it("pages follow one another and end with the last, or with a failure", async () => {
  const page = (next?: string) => ({ status: 200, body: { items: [record], ...(next !== undefined && { next }) } });
  const { rest, requests } = bed([
    page("x"),
    page("y"),
    page(),
    page("x"),
    { status: 422, body: problem("validation", "rejected") },
  ]);
  const read = async () => {
    const seen: boolean[] = [];
    for await (const each of rest
      .entity("contacts")
      .pages({ where: { city: "A&B" }, sort: "lastname", isDescending: true, limit: 1 })) {
      seen.push(each.ok);
    }
    return seen;
  };
  expect(await read()).toEqual([true, true, true]);
  expect(requests[1]?.path).toBe("/api/records/contacts?city=A%26B&sort=-lastname&limit=1&after=x");
  expect(await read()).toEqual([true, false]);
});

it("interceptors see and change what is sent", async () => {
  const took: number[] = [];
  const { rest } = bed([{ status: 200, body: record }], {
    onRequest: (request) => {
      request.headers.set("x-request-id", "mine");
      return request;
    },
    onResponse: (response, tookMs) => took.push(response.status + tookMs),
  });
  expect((await rest.entity("contacts").get("1")).ok).toBe(true);
  expect(took).toEqual([200]);
});

it("requests beyond the pace wait for their turn", async () => {
  const { rest, waits } = bed(
    Array.from({ length: 4 }, () => ({ status: 200, body: record })),
    {
      pace: { perMinute: 60, burst: 2 },
    },
  );
  for (let index = 0; index < 4; index++) {
    await rest.entity("contacts").get("1");
  }
  expect(waits).toEqual([1_000, 1_000]);
});

it("property: whatever the gaps, no more than the burst and the pace leave in any window", () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 5_000 }), { minLength: 1, maxLength: 100 });
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 20 }), (all, perMinute, burst) => {
      let bucket = { left: burst, atMs: 0 };
      let nowMs = 0;
      const left: number[] = [];
      for (const gap of all) {
        nowMs += gap;
        const turn = takeTurn(bucket, { perMinute, burst }, nowMs);
        bucket = turn.bucket;
        left.push(nowMs + turn.waitMs);
      }
      for (const [index, first] of left.entries()) {
        const last = left.at(-1) ?? 0;
        expect(left.length - index).toBeLessThanOrEqual(burst + ((last - first) * perMinute) / 60_000 + 1.001);
      }
    }),
    { seed: 3, numRuns: 300 },
  );
});

it("[LIV-1] full jitter lies between nothing and a bound that doubles up to a minute", () => {
  expect([0, 1, 2].map((attempt) => backoffMs(attempt, 0.999_999, undefined))).toEqual([500, 1_000, 2_000]);
  expect(backoffMs(30, 0.999_999, undefined)).toBe(60_000);
  expect(backoffMs(30, 0, undefined)).toBe(0);
});
