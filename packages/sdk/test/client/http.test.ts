/** What comes over HTTP, from servers and from what stands in between. A platform's fetch is the edge of the package. */

import { describe, expect, it } from "vitest";
import { Auth } from "../../src/client/auth.ts";
import { platformWith } from "../../src/client/platform.ts";
import { Serial } from "../../src/client/serial.ts";
import { download } from "../../src/client/snapshot.ts";
import { StoreError } from "../../src/replica/store.ts";
import type { Input } from "../../src/session/state.ts";
import type { MemoryStore } from "../../src/storage/memory.ts";
import { signedInStore } from "./offline.ts";

const DEVICE = { id: "d", name: "test", mode: "web_app" } as const;
const TOKENS = {
  access_token: "a1",
  refresh_token: "r1",
  expires_in_s: 900,
  workspace_id: "acme",
  user_id: "u",
  device_id: "d",
  role: "agent",
};

type Answer = Response | Error;

/** A server that gives these answers, one after the other, and the requests it was sent. */
async function served(
  ...answers: (Answer | (() => Answer))[]
): Promise<{ auth: Auth; requests: Request[]; store: MemoryStore; again: () => Promise<Auth> }> {
  const requests: Request[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    requests.push(new Request(input, init));
    const next = answers.shift();
    const answer = typeof next === "function" ? next() : next;
    if (answer === undefined || answer instanceof Error) {
      throw answer ?? new TypeError("no more answers");
    }
    return answer;
  };
  const platform = platformWith({ WebSocket: class {} as unknown as typeof WebSocket, fetch, wallMs: () => 1_000 });
  const store = await signedInStore();
  const again = () => Auth.open("https://crm.example.com", platform, store);
  return { auth: await again(), requests, store, again };
}

function json(body: unknown, status = 200): Response {
  return new Response(JSON.stringify(body), { status });
}

function problem(code: string, kind: string, status: number, more: object = {}): Response {
  return json({ code, class: kind, message: `${code}.`, ...more }, status);
}

async function signedIn(auth: Auth): Promise<void> {
  const signed = await auth.signIn({ email: "a@b.example", password: "p" }, DEVICE);
  if (!signed.ok) {
    throw new Error(JSON.stringify(signed.error));
  }
  await auth.keep(signed.value);
}

describe("signing in and renewing", () => {
  it("[ERR-1] what is not an answer of Syncline is no refusal, whatever its status", async () => {
    const { auth } = await served(
      new Response("<h1>Forbidden</h1>", { status: 403 }),
      new Response("{}", { status: 200 }),
      new Response("gateway", { status: 502 }),
      new TypeError("fetch failed"),
    );
    for (let count = 0; count < 4; count++) {
      const signed = await auth.signIn({ email: "a@b.example", password: "p" }, DEVICE);
      expect(signed).toMatchObject({ ok: false, error: { failure: "unreachable" } });
    }
  });

  it("[AUT-2] a renewed sign-in that the store does not take is used all the same, and kept as soon as it does", async () => {
    const renewed = { ...TOKENS, access_token: "a2", refresh_token: "r2" };
    const { auth, requests, store, again } = await served(json({ ...TOKENS, expires_in_s: 1 }), json(renewed));
    await signedIn(auth);
    const { write } = store;
    store.write = () => Promise.reject(new StoreError("storage_full", "no room"));
    expect(await auth.bearer("if_needed")).toEqual({ ok: true, value: "a2" });
    expect(await auth.bearer("if_needed")).toEqual({ ok: true, value: "a2" });
    store.write = write;
    expect(await auth.bearer("if_needed")).toEqual({ ok: true, value: "a2" });
    expect(await (await again()).bearer("if_needed"), "also after the next start").toEqual({ ok: true, value: "a2" });
    expect(requests).toHaveLength(2);
  });

  it("[AUT-2] who dies between the answer to a renewal and the disk asks for the same answer again", async () => {
    const renewed = { ...TOKENS, access_token: "a2", refresh_token: "r2" };
    const { auth, requests, store, again } = await served(
      json({ ...TOKENS, expires_in_s: 1 }),
      () => {
        // From here on nothing reaches the disk: the process is about to die.
        store.write = () => Promise.reject(new StoreError("corrupt_local", "gone"));
        return json(renewed);
      },
      json(renewed),
    );
    await signedIn(auth);
    const { write } = store;
    await auth.bearer("if_needed");
    store.write = write;
    expect(await (await again()).bearer("if_needed")).toEqual({ ok: true, value: "a2" });
    const [, first, second] = requests.map((request) => request.headers.get("idempotency-key"));
    expect(first).toBe(second);
    expect(first).not.toBeNull();
  });

  it("[AUT-2] a lost answer to a renewal is asked for again under the same key, and callers share one renewal", async () => {
    const { auth, requests } = await served(
      json({ ...TOKENS, expires_in_s: 1 }),
      new TypeError("cut"),
      json({ ...TOKENS, access_token: "a2", refresh_token: "r2" }),
    );
    await signedIn(auth);
    const tokens = await Promise.all([auth.bearer("if_needed"), auth.bearer("if_needed"), auth.bearer("always")]);
    expect(tokens).toEqual(Array.from({ length: 3 }, () => ({ ok: true, value: "a2" })));
    const [, first, second] = requests;
    expect(requests).toHaveLength(3);
    expect(first?.headers.get("idempotency-key")).toMatch(/^[0-9a-f-]{36}$/);
    expect(second?.headers.get("idempotency-key")).toBe(first?.headers.get("idempotency-key"));
    expect(await second?.json()).toEqual({ refresh_token: "r1" });
    expect(auth.credentials?.refreshToken).toBe("r2");
  });

  it("[REV-3] a revoked device gets a token for its deposit, and speaks with it from then on", async () => {
    const { auth } = await served(json(TOKENS), problem("device_revoked", "fatal", 403, { deposit_token: "deposit" }));
    await signedIn(auth);
    expect(await auth.bearer("always")).toEqual({ ok: true, value: "deposit" });
    expect(await auth.bearer("if_needed")).toEqual({ ok: true, value: "deposit" });
  });

  it("a renewal that is refused asks the person, one that is not answered does not", async () => {
    const { auth } = await served(
      json(TOKENS),
      problem("unavailable", "transient", 503),
      problem("unauthenticated", "session", 401),
    );
    await signedIn(auth);
    expect(await auth.bearer("always")).toMatchObject({
      error: { failure: "refused", problem: { class: "transient" } },
    });
    expect(await auth.bearer("always")).toMatchObject({ error: { failure: "sign_in_needed" } });
    expect(auth.credentials?.refreshToken, "nothing is forgotten").toBe("r1");
  });

  it("a request that is refused is made once more with a new token, and not a third time", async () => {
    const renewed = json({ ...TOKENS, access_token: "a2" });
    const { auth, requests } = await served(
      json(TOKENS),
      problem("token_expired", "session", 401),
      renewed,
      problem("unauthenticated", "session", 401),
    );
    await signedIn(auth);
    const answer = await auth.get("/api/x", new AbortController().signal);
    expect(answer).toMatchObject({ ok: false, error: { failure: "refused" } });
    expect(requests.map(({ headers }) => headers.get("authorization"))).toEqual([null, "Bearer a1", null, "Bearer a2"]);
  });
});

const ROW = (number: number) =>
  JSON.stringify({ op: "put", entity: "leads", id: `ü${number}`, rv: number, scope: "workspace", fields: {} });

/** A body in chunks of so many bytes. */
function chunked(text: string, size: number): Response {
  const bytes = new TextEncoder().encode(text);
  return new Response(
    new ReadableStream({
      start(controller) {
        for (let start = 0; start < bytes.length; start += size) {
          controller.enqueue(bytes.slice(start, start + size));
        }
        controller.close();
      },
    }),
  );
}

async function downloaded(response: Answer, resume?: string): Promise<{ inputs: Input[]; requests: Request[] }> {
  const { auth, requests } = await served(json(TOKENS), response);
  await signedIn(auth);
  const inputs: Input[] = [];
  const about = {
    scope: "workspace",
    url: "/api/sync/snapshot?scope=workspace",
    ...(resume !== undefined && { resume }),
  };
  await download(auth, about, new AbortController().signal, async (input) => {
    inputs.push(input);
  });
  return { inputs, requests };
}

describe("snapshots", () => {
  const text = [ROW(1), ROW(2), '{"resume":"t/1"}', ROW(3), '{"end":true,"seq":9}', ""].join("\n");

  it("[SNP-1] rows, pages and the end survive any chunking, also within a character", async () => {
    for (let size = 1; size < 40; size++) {
      const { inputs } = await downloaded(chunked(text, size));
      expect(inputs, `chunks of ${size}`).toMatchObject([
        { input: "snapshot_rows", rows: [{ id: "ü1" }, { id: "ü2" }], resume: "t/1" },
        { input: "snapshot_rows", rows: [{ id: "ü3" }] },
        { input: "snapshot_end", seq: 9 },
      ]);
    }
  });

  it("[SNP-3] a download goes on from its token", async () => {
    const { requests } = await downloaded(chunked(text, 99), "t/1");
    expect(requests.at(-1)?.url).toBe("https://crm.example.com/api/sync/snapshot?scope=workspace&resume=t%2F1");
  });

  it.each([
    ["ends without its end", `${ROW(1)}\n`, false],
    ["holds what is no row", `${ROW(1)}\nnonsense\n`, false],
    ["has a line without end", "x".repeat(3_000_000), false],
  ])("[SNP-1] one that %s has failed", async (_, body, isLost) => {
    const { inputs } = await downloaded(chunked(body, 100_000));
    expect(inputs.at(-1)).toEqual({ input: "snapshot_failed", scope: "workspace", isLost });
  });

  it("one that the server refuses for good is lost, one that it cannot give now is not", async () => {
    const refused = await downloaded(problem("malformed", "protocol", 400));
    expect(refused.inputs).toEqual([{ input: "snapshot_failed", scope: "workspace", isLost: true }]);
    const later = await downloaded(problem("overloaded", "transient", 503));
    expect(later.inputs).toEqual([{ input: "snapshot_failed", scope: "workspace", isLost: false }]);
  });

  it("after it was called off nothing is fed any more", async () => {
    const { auth } = await served(json(TOKENS), () => chunked(text, 5));
    await signedIn(auth);
    const off = new AbortController();
    const inputs: Input[] = [];
    await download(auth, { scope: "workspace", url: "/s" }, off.signal, async (input) => {
      inputs.push(input);
      off.abort();
    });
    expect(inputs).toHaveLength(1);
  });
});

it("[INV-10] steps run one after the other, failures stay with whoever gave them, and too many are refused", async () => {
  const serial = new Serial();
  const order: number[] = [];
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const first = serial.run(() => gate.then(() => void order.push(1)));
  const failed = serial.run(() => Promise.reject(new Error("mine")));
  const waiting = Array.from({ length: 9_998 }, () => serial.run(async () => undefined));
  await expect(serial.run(async () => undefined)).rejects.toThrow("more than 10000 steps wait");
  open();
  await expect(failed).rejects.toThrow("mine");
  await Promise.all([first, ...waiting]);
  await serial.run(async () => void order.push(2));
  expect(order).toEqual([1, 2]);
});
