/**
 * Reads frames and snapshot lines of the server. What does not follow the spec is refused here, whole, so that nothing
 * behind this file has to ask whether a member is there. Unknown members are kept and ignored (spec ERR-2).
 */

import { isArray, isObject, type Json, member } from "../json.ts";
import type { ServerFrame, WireOp } from "./frames.ts";

/** Says what is wrong with a value at `path`, or nothing. */
type Check = (value: Json, path: string) => string | undefined;

const text: Check = (value, path) => (typeof value === "string" ? undefined : `${path} is not a text`);
const flag: Check = (value, path) => (typeof value === "boolean" ? undefined : `${path} is not true or false`);
/** A whole number from 0, below 2^53 (spec ID-5). */
const count: Check = (value, path) =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? undefined : `${path} is not a whole number from 0`;
const fields: Check = (value, path) => (isObject(value) ? undefined : `${path} is not an object`);
const sum: Check = (value, path) =>
  typeof value === "string" && /^[0-9a-f]{16}$/.test(value) ? undefined : `${path} is not 16 hex digits`;

function list(item: Check): Check {
  return (value, path) =>
    isArray(value) ? first(value.map((held, index) => item(held, `${path}.${index}`))) : `${path} is not an array`;
}

function tuple(...items: readonly Check[]): Check {
  return (value, path) =>
    isArray(value) && value.length === items.length
      ? first(items.map((item, index) => item(value[index] ?? null, `${path}.${index}`)))
      : `${path} is not an array of ${items.length}`;
}

/** An object with these members; a name that ends in `?` may be absent. */
function shape(members: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(members);
  return (value, path) => {
    if (!isObject(value)) {
      return `${path} is not an object`;
    }
    return first(
      checks.map(([name, check]) => {
        const isOptional = name.endsWith("?");
        const held = member(value, isOptional ? name.slice(0, -1) : name);
        return isOptional && held === null ? undefined : check(held, `${path}.${name.replace("?", "")}`);
      }),
    );
  };
}

/** One of several shapes, told apart by a member. */
function tagged(tag: string, shapes: Readonly<Record<string, Check>>): Check {
  return (value, path) => {
    const word = isObject(value) ? member(value, tag) : null;
    const check = typeof word === "string" && Object.hasOwn(shapes, word) ? shapes[word] : undefined;
    return check === undefined ? `${path}.${tag} is ${JSON.stringify(word)}` : check(value, path);
  };
}

function first(problems: readonly (string | undefined)[]): string | undefined {
  return problems.find((problem) => problem !== undefined);
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
  outcome: (value, path) =>
    ["applied", "merged", "superseded", "in_review", "rejected"].includes(String(value))
      ? undefined
      : `${path} is ${JSON.stringify(value)}`,
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
  grant: shape({ scope: text, action: tagOf("add", "remove"), reason: text }),
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

function tagOf(...words: readonly string[]): Check {
  return (value, path) => (words.includes(String(value)) ? undefined : `${path} is ${JSON.stringify(value)}`);
}

/** What a message of the server is. */
export type Decoded =
  | { readonly kind: "frame"; readonly frame: ServerFrame }
  /** A type of a later server; it sends nothing vital that way. */
  | { readonly kind: "unknown"; readonly type: string }
  | { readonly kind: "malformed"; readonly message: string };

/** Reads one message. O(size of the message); the frame is the parsed JSON itself, not a copy. */
export function decodeFrame(message: string): Decoded {
  const value = parse(message);
  const type = isObject(value) ? member(value, "type") : null;
  if (typeof type !== "string") {
    return { kind: "malformed", message: "a frame is a JSON object with a type" };
  }
  const check = Object.hasOwn(FRAMES, type) ? FRAMES[type] : undefined;
  if (check === undefined) {
    return { kind: "unknown", type };
  }
  const problem = check(value ?? null, type);
  return problem === undefined
    ? { kind: "frame", frame: value as unknown as ServerFrame }
    : { kind: "malformed", message: problem };
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
    return { kind: "malformed" };
  }
  // Rows outnumber everything else ten thousand to one.
  if (Object.hasOwn(value, "op")) {
    return wireOp(value, "row") === undefined
      ? { kind: "row", row: value as unknown as WireOp }
      : { kind: "malformed" };
  }
  const [resume, seq] = [member(value, "resume"), member(value, "seq")];
  if (typeof resume === "string") {
    return { kind: "page", resume };
  }
  return member(value, "end") === true && count(seq, "seq") === undefined
    ? { kind: "end", seq: Number(seq) }
    : { kind: "malformed" };
}

function parse(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
