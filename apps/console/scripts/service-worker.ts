/** Writes `sw.js`: the service worker with the list of files of this build, so that each build is one whole set. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const SOURCE = fileURLToPath(new URL("./sw.js", import.meta.url));
/** Files of `public/` that the shell needs without a network. */
const PUBLIC = ["/theme.js", "/icon.svg", "/icon-192.png", "/manifest.webmanifest"];

export function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    enforce: "post",
    generateBundle(_, bundle) {
      const built = Object.keys(bundle).filter((name) => name !== "index.html" && !name.endsWith(".map"));
      const files = ["/", ...built.map((name) => `/${name}`), ...PUBLIC].sort();
      const source = readFileSync(SOURCE, "utf8");
      // The page changes whenever one of its hashed files does; files of public/ have no hash in their name.
      const content = PUBLIC.map((path) => readFileSync(fileURLToPath(new URL(`../public${path}`, import.meta.url))));
      const version = createHash("sha256").update(source).update(JSON.stringify(files));
      for (const bytes of content) {
        version.update(bytes);
      }
      this.emitFile({
        type: "asset",
        fileName: "sw.js",
        source: source
          .replace('"__VERSION__"', JSON.stringify(version.digest("hex").slice(0, 16)))
          .replace('["__FILES__"]', JSON.stringify(files)),
      });
    },
  };
}
