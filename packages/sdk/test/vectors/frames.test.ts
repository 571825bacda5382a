import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { isArray, isObject, type Json, type JsonObject, objectOf } from "../../src/json.ts";
import { allCodes } from "../../src/protocol/codes.ts";
import { decodeFrame, decodeSnapshotLine } from "../../src/protocol/decode.ts";
import { LOCAL_CODES } from "../../src/replica/edit.ts";
import { vectors } from "./vectors.ts";

interface FrameCase {
  name: string;
  from: "client" | "server";
  frame: JsonObject;
}

const cases = vectors<FrameCase[]>("frames");
/** Frames that replicas have no part in: topics, presence and messages. */
const LEFT_ALONE = new Set(["subscribed", "unsubscribed", "missed", "presence", "msg", "msg_receipt"]);
const isLeftAlone = ({ frame }: FrameCase): boolean => LEFT_ALONE.has(String(frame.type));
const server = cases.filter((about) => about.from === "server" && !isLeftAlone(about));

/** Members a frame may lack (spec, and the cases that lack them). */
const OPTIONAL = new Set([
  "catch_up",
  "more",
  "digests",
  "by",
  "split",
  "rows",
  "code",
  "detail",
  "conflict_ids",
  "retry_ms",
  "request_id",
  "client_seq",
  "message_id",
  "scope",
  "entity",
  "field",
]);

/** Every way to take one member or item out of a value, with the path to it. */
function* without(value: Json, path: string): Generator<[string, Json]> {
  if (isArray(value)) {
    for (const [index, item] of value.entries()) {
      for (const [at, changed] of without(item, `${path}.${index}`)) {
        yield [at, value.map((held, other) => (other === index ? changed : held))];
      }
    }
  } else if (isObject(value)) {
    const members = Object.entries(value);
    for (const [name, item] of members) {
      yield [`${path}.${name}`, objectOf(members.filter(([other]) => other !== name))];
      for (const [at, changed] of without(item, `${path}.${name}`)) {
        yield [at, objectOf(members.map(([other, held]) => [other, other === name ? changed : held]))];
      }
    }
  }
}

describe("frames.json", () => {
  it.each(server)("[SES-2] [SES-3] reads $name", ({ frame }) => {
    expect(decodeFrame(JSON.stringify(frame))).toEqual({ kind: "frame", frame });
  });

  it("[ERR-2] passes over frames that replicas have no part in", () => {
    const others = cases.filter((about) => about.from === "server" && isLeftAlone(about));
    expect(new Set(others.map(({ frame }) => frame.type))).toEqual(LEFT_ALONE);
    for (const { frame } of others) {
      expect(decodeFrame(JSON.stringify(frame))).toEqual({ kind: "aside", frame });
    }
  });

  it("[ERR-2] a frame that lacks a member is refused as a whole", () => {
    let refused = 0;
    for (const { name, frame } of server) {
      for (const [at, changed] of without(frame, "")) {
        const last = at.split(".").at(-1) ?? "";
        const isOptional = OPTIONAL.has(last) || (frame.type === "msg_receipt" && last === "device_id");
        if (at.includes(".fields.") || at.includes(".payload.") || isOptional) {
          continue;
        }
        const { kind } = decodeFrame(JSON.stringify(changed));
        expect(kind, `${name} without ${at}`).toBe("malformed");
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });

  it("[PRE-1] a problem of presence or of a topic is none of the replica's, one of a push or a comparison is", () => {
    const kindOf = (about: object): string => {
      const problem = { code: "forbidden", class: "rejected", message: "no", ...about };
      return decodeFrame(JSON.stringify({ type: "error", problem })).kind;
    };
    expect([kindOf({ entity: "leads" }), kindOf({ topic: "deals" })]).toEqual(["aside", "aside"]);
    expect([kindOf({}), kindOf({ entity: "leads", client_seq: 3 }), kindOf({ entity: "leads", scope: "s" })]).toEqual(
      Array(3).fill("frame"),
    );
  });

  it("[ERR-2] unknown types are told apart from damage, and unknown members do no harm", () => {
    expect(decodeFrame('{"type":"later","x":1}')).toEqual({ kind: "aside", frame: { type: "later", x: 1 } });
    expect(decodeFrame('{"type":"constructor"}').kind).toBe("aside");
    expect(decodeFrame('{"type":"heartbeat_ack","server_ms":1,"x":{}}').kind).toBe("frame");
    for (const message of ["", "{", "[]", "null", "7", '{"type":7}']) {
      expect(decodeFrame(message).kind, message).toBe("malformed");
    }
  });

  it("[ID-5] numbers at and beyond 2^53 are refused", () => {
    expect(decodeFrame('{"type":"out_of_order","expected":9007199254740991}').kind).toBe("frame");
    for (const number of ["9007199254740992", "-1", "1.5", '"1"']) {
      expect(decodeFrame(`{"type":"out_of_order","expected":${number}}`).kind, number).toBe("malformed");
    }
  });
});

it("[SNP-1] rows, pages and the end of a snapshot are told apart", () => {
  const row = {
    op: "put",
    entity: "leads",
    id: "0192f0c1-7b1e-7cc2-9d3e-2f6f3f0c8a11",
    rv: 7,
    scope: "workspace",
    fields: { resume: "x" },
  };
  expect(decodeSnapshotLine(JSON.stringify(row))).toEqual({ kind: "row", row });
  expect(decodeSnapshotLine('{"resume":"t-1"}')).toEqual({ kind: "page", resume: "t-1" });
  expect(decodeSnapshotLine('{"end":true,"seq":12}')).toEqual({ kind: "end", seq: 12 });
  for (const line of ["{}", "[]", "", '{"end":false,"seq":1}', '{"op":"put"}']) {
    expect(decodeSnapshotLine(line), line).toEqual({ kind: "malformed" });
  }
});

it("[ERR-1] the codes and their classes are those of spec/CODES.md", () => {
  const text = readFileSync(new URL("../../../../spec/CODES.md", import.meta.url), "utf8");
  const rows = [...text.matchAll(/^\| `([a-z_]+)` \| ([a-z]+) \| \d+ \|/gm)];
  const written = Object.fromEntries(rows.map(([, code, kind]) => [code, kind]));
  expect(Object.fromEntries(allCodes())).toEqual(written);
  expect(written).toMatchObject(LOCAL_CODES);
});
