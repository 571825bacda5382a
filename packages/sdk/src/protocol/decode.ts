/**
 * Reads frames and snapshot lines of the server. What does not follow the spec is refused here, whole, so that nothing
 * behind this file has to ask whether a member is there. Unknown members are kept and ignored (spec ERR-2).
 */

import { isArray, isObject, type Json, type JsonObject, member } from "../json.ts";
import type { ServerFrame, WireOp } from "./frames.ts";

/** Whether a value has a form. */
type Check = (value: Json) => boolean;

const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
/** A whole number from 0, below 2^53 (spec ID-5). */
const count: Check = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
const fields: Check = isObject;
const sum: Check = (value) => typeof value === "string" && /^[0-9a-f]{16}$/.test(value);

function list(item: Check): Check {
  return (value) => isArray(value) && value.every(item);
}

function tuple(...items: readonly Check[]): Check {
  return (value) =>
    isArray(value) && value.length === items.length && items.every((item, index) => item(value[index] ?? null));
}

function word(...words: readonly string[]): Check {
  return (value) => words.includes(String(value));
}

/** An object with these members; a name that ends in `?` may be absent. */
function shape(members: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(members).map(([name, check]): readonly [string, Check] => {
    const isOptional = name.endsWith("?");
    return isOptional ? [name.slice(0, -1), (value) => value === null || check(value)] : [name, check];
  });
  return (value) => isObject(value) && checks.every(([name, check]) => check(member(value, name)));
}

/** One of several shapes, told apart by a member. */
function tagged(tag: string, shapes: Readonly<Record<string, Check>>): Check {
  return (value) => {
    const name = isObject(value) ? member(value, tag) : null;
    return typeof name === "string" && Object.hasOwn(shapes, name) && shapes[name]?.(value) === true;
  };
}

const digest = shape({ count, sum });
const range = shape({ lo: text, hi: text, digest });
const wireOp = tagged("op", {
  put: shape({ entity: text, id: text, rv: count, scope: text, fields }),
  patch: shape({ entity: text, id: text, rv: count, "scope?": text, fields }),
  del: shape({ entity: text, id: text, rv: count }),
  leave: shape({ entity: text, id: text }),
});
const plan = tagged("how", {
  resume: shape({}),
  catch_up: shape({ from: count, to: count }),
  reconcile: shape({ seq: count }),
  snapshot: shape({ url: text, seq: count, count }),
});
const outcome = shape({
  client_seq: count,
  mutation_id: text,
  outcome: word("applied", "merged", "superseded", "in_review", "rejected"),
  "code?": text,
  "detail?": text,
  "conflict_ids?": list(text),
  seq: count,
});

const FRAMES: Readonly<Record<string, Check>> = {
  welcome: shape({
    proto: count,
    connection_id: text,
    backend_id: text,
    epoch: count,
    server_ms: count,
    applied_client_seq: count,
    head: count,
    schema: shape({ version: count, hash: text }),
    heartbeat_ms: count,
    window: count,
    scopes: list(shape({ id: text, plan })),
    lease_until_ms: count,
    user_id: text,
    role: text,
  }),
  grant: shape({ scope: text, action: word("add", "remove"), reason: text }),
  batch: shape({
    from: count,
    to: count,
    "catch_up?": flag,
    "more?": flag,
    changes: list(shape({ "by?": tuple(text, count), ops: list(wireOp) })),
    "digests?": list(tuple(text, digest)),
  }),
  outcomes: shape({ outcomes: list(outcome) }),
  out_of_order: shape({ expected: count }),
  verify_reply: shape({
    scope: text,
    seq: count,
    "split?": list(range),
    "rows?": list(shape({ lo: text, hi: text, rows: list(tuple(text, text, count)) })),
  }),
  records: shape({ scope: text, seq: count, answered: count, records: list(wireOp) }),
  heartbeat_ack: shape({ server_ms: count }),
  slow_down: shape({ retry_ms: count }),
  sync_now: shape({ entities: list(text) }),
  goodbye: shape({ retry_ms: count, reason: text }),
  purge: shape({ code: text, reason: text }),
  error: shape({
    problem: shape({
      code: text,
      class: text,
      message: text,
      "retry_ms?": count,
      "request_id?": text,
      "client_seq?": count,
      "scope?": text,
      "entity?": text,
      "field?": text,
    }),
  }),
};

/** What a message of the server is. */
export type Decoded =
  | { readonly kind: "frame"; readonly frame: ServerFrame }
  /** Of a later server, or what replicas have no part in: topics, presence, messages, and what is wrong with those. */
  | { readonly kind: "aside"; readonly frame: JsonObject }
  /** Not a frame, or one that lacks something. */
  | { readonly kind: "malformed" };

const MALFORMED = { kind: "malformed" } as const;

/** Reads one message. O(size of the message); the frame is the parsed JSON itself, not a copy. */
export function decodeFrame(message: string): Decoded {
  const value = parse(message);
  const type = isObject(value) ? member(value, "type") : null;
  if (!isObject(value) || typeof type !== "string") {
    return MALFORMED;
  }
  const check = Object.hasOwn(FRAMES, type) ? FRAMES[type] : undefined;
  if (check === undefined || isAside(member(value, "problem"))) {
    return { kind: "aside", frame: value };
  }
  return check(value) ? { kind: "frame", frame: value as unknown as ServerFrame } : MALFORMED;
}

/** A line of a snapshot (spec SNP-1). */
export type SnapshotLine =
  | { readonly kind: "row"; readonly row: WireOp }
  /** A page ended: the token to go on from. */
  | { readonly kind: "page"; readonly resume: string }
  | { readonly kind: "end"; readonly seq: number }
  | { readonly kind: "malformed" };

export function decodeSnapshotLine(line: string): SnapshotLine {
  const value = parse(line);
  if (!isObject(value)) {
    return MALFORMED;
  }
  // Rows outnumber everything else ten thousand to one.
  if (Object.hasOwn(value, "op")) {
    return wireOp(value) ? { kind: "row", row: value as unknown as WireOp } : MALFORMED;
  }
  const [resume, seq] = [member(value, "resume"), member(value, "seq")];
  if (typeof resume === "string") {
    return { kind: "page", resume };
  }
  return member(value, "end") === true && count(seq) ? { kind: "end", seq: Number(seq) } : MALFORMED;
}

/** Problems of pushes name a mutation and those of comparisons a scope; of presence the entity alone, of topics the topic. */
function isAside(problem: Json): boolean {
  const names = (name: string): boolean => isObject(problem) && member(problem, name) !== null;
  return (names("entity") || names("topic")) && !names("client_seq") && !names("scope");
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
