/** What the extension asks of a browser, and what it admits into its pages. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import manifest from "../public/manifest.json" with { type: "json" };
import { originPattern, serverAddress } from "../src/server.ts";

const read = (path: string): string => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

it("[EXT-1] least permissions: no page and no server without the person", () => {
  expect(manifest.permissions).toEqual(["activeTab", "alarms", "notifications", "scripting", "storage"]);
  expect(manifest).not.toHaveProperty("host_permissions");
  expect(manifest).not.toHaveProperty("content_scripts");
  expect(manifest).not.toHaveProperty("externally_connectable");
  expect(manifest).not.toHaveProperty("web_accessible_resources");
});

it("[EXT-1] the policy admits this extension's own files and no code from elsewhere", () => {
  const policy = new Map(
    manifest.content_security_policy.extension_pages.split(";").map((part) => {
      const [name = "", ...sources] = part.trim().split(" ");
      return [name, sources] as const;
    }),
  );
  expect(policy.get("default-src")).toEqual(["'none'"]);
  expect(policy.get("script-src")).toEqual(["'self'"]);
  expect(policy.get("style-src")).toEqual(["'self'"]);
  expect(policy.get("frame-ancestors")).toEqual(["'none'"]);
  expect(
    [...policy.values()].flat().filter((source) => /unsafe|data:|\*$/.test(source) && !source.includes("//")),
  ).toEqual([]);
});

it("[EXT-1] no source makes markup of text or code of data", () => {
  const sources = readdirSync(new URL("../src", import.meta.url), { recursive: true, encoding: "utf8" });
  for (const path of sources.filter((each) => each.endsWith(".ts"))) {
    expect(read(`src/${path}`), path).not.toMatch(
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser/,
    );
  }
});

it("[EXT-1] the id that the key gives is the one a server with demo data admits", () => {
  const hash = createHash("sha256").update(Buffer.from(manifest.key, "base64")).digest("hex").slice(0, 32);
  const id = [...hash].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 16))).join("");
  expect(read("../../crates/server/src/demo/mod.rs")).toContain(`"chrome-extension://${id}"`);
});

it("the version is that of the package", () => {
  expect(manifest.version).toBe(JSON.parse(read("package.json")).version);
});

it.each([
  ["https://crm.example.com/", "https://crm.example.com"],
  [" https://crm.example.com/sync/ ", "https://crm.example.com/sync"],
  ["http://localhost:8000", "http://localhost:8000"],
  ["http://127.0.0.1:8000/", "http://127.0.0.1:8000"],
])("[EXT-1] %s is a server", (text, address) => {
  expect(serverAddress(text)).toEqual({ address });
});

it.each([
  "",
  "crm.example.com",
  "http://crm.example.com",
  "javascript:alert(1)",
  "https://me:pw@x.example",
  "https://x.example/?a",
  "ftp://x",
])("[EXT-1] `%s` is refused as a server", (text) => {
  expect(serverAddress(text)).toHaveProperty("error");
});

it("[EXT-1] the permission is for one host and one scheme", () => {
  expect(originPattern("https://crm.example.com:8443/sync")).toBe("https://crm.example.com:8443/*");
});
