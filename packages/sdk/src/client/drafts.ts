/** What a person has begun to write and not saved: kept on this device alone, gone when access is withdrawn. */

import type { Json } from "../json.ts";
import { encodedBytes } from "../json.ts";
import type { LocalError } from "../replica/edit.ts";
import { localError } from "../replica/edit.ts";
import { err, type Result } from "../result.ts";
import type { AnyClient } from "./any.ts";
import { worksOf } from "./works.ts";

/** Bytes of one draft. Larger ones are refused as `too_large`. */
export const DRAFT_BYTES_MAX = 256 * 1024;

/** Keeps a draft under a key such as `contacts <id>`; durable when this resolves. `null` deletes it. */
export async function saveDraft<Types>(
  client: AnyClient<Types>,
  key: string,
  value: Json,
): Promise<Result<undefined, LocalError>> {
  if (encodedBytes(value) > DRAFT_BYTES_MAX) {
    return err(localError("too_large", `a draft has at most ${DRAFT_BYTES_MAX / 1024} KiB`));
  }
  return worksOf(client).keep(`draft ${key}`, value);
}

/** The draft under a key; `undefined`: there is none. */
export function loadDraft<Types>(client: AnyClient<Types>, key: string): Promise<Result<Json | undefined, LocalError>> {
  return worksOf(client).kept(`draft ${key}`);
}
