/** The package as a whole: what it offers, what it depends on, and how its files depend on one another. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const SOURCES = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" }).filter((path) =>
  path.endsWith(".ts"),
);
const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  exports: Record<string, { types: string; default: string }>;
  dependencies: Record<string, string>;
};

/** Specifiers a file imports or exports from. */
function importsOf(path: string): string[] {
  const text = readFileSync(join(ROOT, "src", path), "utf8");
  return [...text.matchAll(/^(?:import|export)\b[^;]*?\bfrom "([^"]+)";/gm)].map(([, from]) => from ?? "");
}

it("every entry point has its source, and its line in the README", () => {
  const readme = readFileSync(join(ROOT, "README.md"), "utf8");
  for (const [name, { types, default: code }] of Object.entries(manifest.exports)) {
    expect(types.replace(".d.ts", ".js"), name).toBe(code);
    const source = code.replace("./dist/", "").replace(/\.js$/, ".ts");
    expect(existsSync(join(ROOT, "src", source)), `${name}: src/${source}`).toBe(true);
    expect(readme, name).toMatch(name === "." ? "`@syncline/sdk`" : new RegExp(`\`(@syncline/sdk)?${name.slice(1)}\``));
  }
});

it("idb is all that is needed, and only where IndexedDB is", () => {
  expect(Object.keys(manifest.dependencies)).toEqual(["idb"]);
  for (const path of SOURCES) {
    const foreign = importsOf(path).filter((from) => !from.startsWith("."));
    const allowed = path.startsWith("react/") ? ["react"] : path.startsWith("storage/") ? ["idb"] : [];
    expect(
      foreign.filter((from) => !allowed.includes(from)),
      path,
    ).toEqual([]);
  }
});

it("no file imports itself through others", () => {
  const imports = new Map(
    SOURCES.map((path) => [
      path,
      importsOf(path)
        .filter((from) => from.startsWith("."))
        .map((from) => normalize(join(dirname(path), from))),
    ]),
  );
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    expect(trail.includes(path), [...trail, path].join(" → ")).toBe(false);
    if (!done.has(path)) {
      for (const next of imports.get(path) ?? []) {
        visit(next, [...trail, path]);
      }
      done.add(path);
    }
  };
  for (const path of SOURCES) {
    visit(path, []);
  }
  expect(done.size).toBe(SOURCES.length);
});
