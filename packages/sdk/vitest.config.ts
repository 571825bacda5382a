import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const { exports } = JSON.parse(readFileSync(here("package.json"), "utf8")) as {
  exports: Record<string, { default: string }>;
};
// What programs import by name is the source here: nothing has to be built for a test.
const alias = Object.entries(exports).map(([name, { default: code }]) => ({
  find: new RegExp(`^@syncline/sdk${name.slice(1)}$`),
  replacement: here(code.replace("./dist/", "src/").replace(/\.js$/, ".ts")),
}));

export default defineConfig({
  test: { include: ["test/**/*.test.{ts,tsx}"], testTimeout: 20_000, hookTimeout: 60_000 },
  resolve: { alias },
});
