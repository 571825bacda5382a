/** The language-neutral vectors of `spec/vectors`; their README explains the shapes. */

import { readFileSync } from "node:fs";

export function vectors<T>(name: string): T {
  const url = new URL(`../../../../spec/vectors/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as T;
}
