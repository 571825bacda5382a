import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const sdk = (path: string): string => here(`../../packages/sdk/src/${path}.ts`);

export default defineConfig({
  // The SDK is used from its source: nothing has to be built before the extension.
  resolve: {
    alias: [
      { find: /^@syncline\/sdk$/, replacement: sdk("index") },
      { find: /^@syncline\/sdk\/crm$/, replacement: sdk("crm/index") },
      { find: /^@syncline\/sdk\/fallback$/, replacement: sdk("client/fallback") },
      { find: /^@syncline\/sdk\/ids$/, replacement: sdk("ids") },
      { find: /^@syncline\/sdk\/formats$/, replacement: sdk("schema/formats") },
      { find: /^@syncline\/sdk\/(indexeddb|sealed|devicekey)$/, replacement: sdk("storage/$1") },
      { find: /^idb$/, replacement: here("node_modules/idb") },
    ],
  },
  base: "",
  build: {
    target: "es2023",
    // The policy of the pages forbids `data:`; every asset is a file.
    assetsInlineLimit: 0,
    modulePreload: false,
    rolldownOptions: {
      input: { popup: here("popup.html"), options: here("options.html"), background: here("src/background/main.ts") },
      output: {
        // The manifest names the service worker.
        entryFileNames: "[name].js",
        chunkFileNames: "[name].js",
        assetFileNames: "[name].[ext]",
      },
    },
  },
  test: { include: ["test/**/*.test.ts"] },
});
