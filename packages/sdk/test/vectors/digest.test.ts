import { describe, expect, it } from "vitest";
import { type Digest, DigestSum, EMPTY_DIGEST } from "../../src/digest.ts";
import { authoredAt } from "../../src/merge/clock.ts";
import { vectors } from "./vectors.ts";

interface DigestCase {
  name: string;
  records: [string, string, number][];
  digest: Digest;
}

interface AuthoredCase {
  name: string;
  age_ms: number;
  base_committed_ms: number;
  received_ms: number;
  authored_ms: number;
}

describe("digest.json", () => {
  it.each(vectors<DigestCase[]>("digest"))("[DIG-1] [DIG-2] $name", ({ records, digest }) => {
    const sum = new DigestSum();
    for (const record of records) {
      sum.add(...record);
    }
    expect(sum.value()).toEqual(digest);
    for (const record of records) {
      sum.remove(...record);
    }
    expect(sum.value(), "removing undoes adding").toEqual(EMPTY_DIGEST);
  });
});

describe("authored_at.json", () => {
  it.each(vectors<AuthoredCase[]>("authored_at"))("[CLK-2] $name", (about) => {
    expect(authoredAt(about.age_ms, about.base_committed_ms, about.received_ms)).toBe(about.authored_ms);
  });
});
