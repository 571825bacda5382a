/** Pages that mean harm: whatever they hold, a capture is a few bounded, readable texts. */

import fc from "fast-check";
import { expect, it } from "vitest";
import { captureOf } from "../../src/capture/capture.ts";
import { LIMITS } from "../../src/capture/limits.ts";
import type { Snapshot } from "../../src/capture/snapshot.ts";
import { line, webAddress } from "../../src/capture/text.ts";
import { EMPTY, snapshotOf } from "../page.ts";

const HIDDEN = /[\p{Cc}\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/u;

function withJsonLd(...scripts: string[]): Snapshot {
  return { ...EMPTY, jsonLd: scripts };
}

function textsOf(value: object): string[] {
  return Object.values(value).flatMap((each) =>
    typeof each === "string" ? [each] : typeof each === "object" ? textsOf(each) : [],
  );
}

it("[EXT-1] markup stays text", () => {
  const name = "<img src=x onerror=alert(1)>";
  const capture = captureOf(withJsonLd(JSON.stringify({ "@type": "Organization", name })));
  expect(capture.contact.company_name).toBe(name);
});

it.each([
  "javascript:alert(1)",
  "JaVaScRiPt:alert(1)",
  "data:text/html,x",
  " \tjavascript:alert(1)",
  "file:///etc/passwd",
  "blob:https://x/1",
])("[EXT-1] %s is no website", (url) => {
  const capture = captureOf(withJsonLd(JSON.stringify({ "@type": "Organization", name: "N", url })));
  expect(capture.contact.website).toBe("https://example.com/");
  expect(webAddress(url)).toBeUndefined();
});

it("[EXT-1] user names and passwords in addresses are not kept", () => {
  expect(captureOf({ ...EMPTY, url: "https://me:secret@example.com/a" }).lead.captured_url).toBe(
    "https://example.com/a",
  );
});

it("[EXT-1] names of JavaScript's own objects are names like others", () => {
  const text =
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"@type":"Organization","name":"N","toString":"x"}';
  expect(captureOf(withJsonLd(text)).contact.company_name).toBe("N");
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  expect(
    captureOf({
      ...EMPTY,
      metas: [
        ["__proto__", "x"],
        ["og:site_name", "S"],
      ],
    }).contact.company_name,
  ).toBe("S");
});

it("[EXT-1] deeply nested data end at their depth", () => {
  const deep = `${'{"a":'.repeat(30_000)}1${"}".repeat(30_000)}`;
  const wide = `{"@type":"Organization","name":"N","telephone":"+1 202 555 0100","x":[${"1,".repeat(60_000)}1]}`;
  expect(captureOf(withJsonLd(deep, wide)).contact.company_name).toBe("N");
  const nested = `${'{"@type":"X","a":'.repeat(40)}{"@type":"Organization","name":"Too deep"}${"}".repeat(40)}`;
  expect(captureOf(withJsonLd(nested)).contact.company_name).toBeUndefined();
});

it("[EXT-1] a page of any size gives a small snapshot", () => {
  const many = (count: number, text: string): string => text.repeat(count);
  const html = [
    `<title>${many(5_000, "t")}</title>`,
    many(200, '<meta name="a" content="b">'),
    many(50, `<script type="application/ld+json">{"a":"${many(30_000, "x")}"}</script>`),
    `<script type="application/ld+json">"${many(300_000, "y")}"</script>`,
    many(
      200,
      '<div itemscope itemtype="https://schema.org/Person"><b itemprop="name">n</b><b itemprop="x">y</b></div>',
    ),
    many(300, '<a href="mailto:a@b.example">x</a>'),
    `<p>${many(100_000, "s")}</p>`,
  ].join("");
  const snapshot = snapshotOf({ html, select: "p" });
  expect(snapshot.title).toHaveLength(LIMITS.textChars);
  expect(snapshot.metas).toHaveLength(LIMITS.metas);
  expect(snapshot.items).toHaveLength(LIMITS.items);
  expect(snapshot.links).toHaveLength(LIMITS.links);
  expect(snapshot.selection).toHaveLength(LIMITS.selectionChars);
  expect(snapshot.jsonLd.join("").length).toBeLessThanOrEqual(LIMITS.scriptsChars);
  expect(snapshot.jsonLd.length).toBeGreaterThan(0);
});

it("[EXT-1] what turns or hides text is taken out, what languages need is kept", () => {
  expect(line("\u202eevil\u202c \u200bA\u0000B\u0007\ud800C\u{e0041}", 100)).toBe("evil ABC");
  expect(line("می\u200cخواهم 👨\u200d👩\u200d👧", 100)).toBe("می\u200cخواهم 👨\u200d👩\u200d👧");
  expect(line("a👍👍", 2)).toBe("a👍");
});

it("[EXT-1] property: of any snapshot, every text of the capture is bounded and free of hidden characters", () => {
  const text = fc.oneof(fc.string({ unit: "binary", maxLength: 700 }), fc.string({ maxLength: 60 }));
  const value: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      text,
      fc.integer(),
      fc.constant(null),
      fc.array(tie("value"), { maxLength: 4 }),
      tie("thing"),
    ),
    thing: fc.dictionary(
      fc.constantFrom(
        "@type",
        "name",
        "email",
        "telephone",
        "address",
        "url",
        "worksFor",
        "givenName",
        "__proto__",
        "streetAddress",
        "@graph",
      ),
      fc.oneof(fc.constantFrom("Person", "Organization", "Product", "PostalAddress"), tie("value")),
    ),
  })).value;
  const snapshots = fc.record({
    url: fc.oneof(fc.webUrl(), text),
    title: text,
    language: text,
    selection: text,
    jsonLd: fc.array(
      fc.oneof(
        value.map((held) => JSON.stringify(held) ?? ""),
        text,
      ),
      { maxLength: 3 },
    ),
    metas: fc.array(fc.tuple(fc.constantFrom("og:site_name", "profile:first_name", "og:email", "__proto__"), text), {
      maxLength: 5,
    }),
    items: fc.array(
      fc.record({
        types: text,
        properties: fc.array(fc.tuple(fc.constantFrom("name", "email", "address"), fc.oneof(text, fc.nat(5)))),
      }),
      { maxLength: 4 },
    ),
    links: fc.array(
      fc.tuple(
        fc.oneof(
          text.map((each) => `mailto:${each}`),
          text,
        ),
        text,
      ),
      { maxLength: 4 },
    ),
  });
  fc.assert(
    fc.property(snapshots, (snapshot) => {
      const capture = captureOf(snapshot);
      for (const found of textsOf(capture)) {
        expect([...found].length).toBeLessThanOrEqual(5_000);
        expect(found.replace(/\n/g, "")).not.toMatch(HIDDEN);
      }
      expect(captureOf(snapshot)).toEqual(capture);
    }),
    { seed: 7, numRuns: 500 },
  );
});
