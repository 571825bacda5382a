import { defineConfig } from "vitest/config";

// One file at a time: each has a server and a browser of its own, and machines that test have few cores. A browser on such a
// machine may miss a moment, so a test may be tried again; vitest says when one was.
export default defineConfig({
  test: { include: ["*/**/*.test.ts"], fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000, retry: 2 },
});
