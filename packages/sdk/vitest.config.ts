import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}.ts`, import.meta.url));

export default defineConfig({
  test: { include: ["test/**/*.test.{ts,tsx}"], testTimeout: 20_000, hookTimeout: 60_000 },
  // What programs import by name is the source here: nothing has to be built for a test.
  resolve: {
    alias: [
      { find: /^@syncline\/sdk$/, replacement: source("index") },
      { find: /^@syncline\/sdk\/(indexeddb|memory)$/, replacement: source("storage/$1") },
      { find: /^@syncline\/sdk\/(crm|react)$/, replacement: source("$1/index") },
    ],
  },
});
