/** Prints what the package adds to a page, minified and gzipped, and fails above the budgets. `npm run size`. */

import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const KIB = 1024;
/** Entry points by what they are for, with the most they may take; bytes. */
const BUDGETS = [
  {
    what: "core and IndexedDB",
    code: 'export * from "./index.ts"; export * from "./storage/indexeddb.ts";',
    max: 25 * KIB,
  },
  { what: "default CRM schema with its formats", code: 'export * from "./crm/index.ts";', max: 8 * KIB },
  {
    what: "core, IndexedDB and tabs",
    code: 'export * from "./index.ts"; export * from "./storage/indexeddb.ts"; export * from "./tabs/tabs.ts";',
    max: 29 * KIB,
  },
  {
    what: "core, IndexedDB and fallback",
    code: 'export * from "./index.ts"; export * from "./storage/indexeddb.ts"; export * from "./client/fallback.ts";',
    max: 27 * KIB,
  },
  { what: "React hooks", code: 'export * from "./react/index.ts";', max: 2 * KIB },
];

let isOver = false;
for (const { what, code, max } of BUDGETS) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: new URL("../src", import.meta.url).pathname, loader: "ts" },
    bundle: true,
    minify: true,
    charset: "utf8",
    write: false,
    format: "esm",
    target: "es2023",
    external: ["react"],
  });
  const bytes = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  isOver ||= bytes > max;
  console.log(`${what}: ${(bytes / KIB).toFixed(2)} KiB of ${max / KIB} KiB${bytes > max ? ": TOO LARGE" : ""}`);
}
process.exitCode = isOver ? 1 : 0;
