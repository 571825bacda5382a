import { defineConfig } from "vitest/config";

// One file at a time: each has a server and a browser of its own, and machines that test have few cores.
export default defineConfig({
  test: {
    // `extension/` is run by node itself.
    include: ["console/**/*.test.{ts,mjs}"],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
