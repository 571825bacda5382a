import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import { defineConfig } from "vite";
import { serviceWorker } from "./scripts/service-worker.ts";

const sdk = (path: string): string => fileURLToPath(new URL(`../../packages/sdk/src/${path}.ts`, import.meta.url));
/** The server that the development server asks: `SYNCLINE_SERVER=http://127.0.0.1:8000 npm run dev`. */
const server = process.env.SYNCLINE_SERVER ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [tailwindcss(), serviceWorker()],
  resolve: {
    // The SDK is part of the console: its source, its only dependency, one copy of each.
    alias: [
      { find: /^@syncline\/sdk$/, replacement: sdk("index") },
      { find: /^@syncline\/sdk\/(indexeddb|sealed|devicekey|eviction)$/, replacement: sdk("storage/$1") },
      { find: /^@syncline\/sdk\/(crm|merge|presence)$/, replacement: sdk("$1/index") },
      { find: /^@syncline\/sdk\/(fallback|import|drafts)$/, replacement: sdk("client/$1") },
      { find: /^@syncline\/sdk\/foresee$/, replacement: sdk("merge/foresee") },
      { find: /^@syncline\/sdk\/tabs$/, replacement: sdk("tabs/tabs") },
    ],
    dedupe: ["idb", "react", "react-dom"],
  },
  build: {
    target: "es2023",
    // `dist/` stays where it is: the server's build watches it.
    emptyOutDir: false,
    // A data: address would need a hole in the page's policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1_000,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      // "use client" is for servers that render; there is none here.
      onLog: (level, log, handle) => log.code !== "MODULE_LEVEL_DIRECTIVE" && handle(level, log),
    },
  },
  server: { port: 5173, proxy: { "/api": server, "/health": server, "/ws": { target: server, ws: true } } },
});
