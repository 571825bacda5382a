/** Data that a program kept on the device before it used Syncline, taken into the outbox once and without loss. */

import type { Edit, LocalError } from "../replica/edit.ts";
import type { Result } from "../result.ts";
import type { AnyClient } from "./any.ts";
import { type ImportState, worksOf } from "./works.ts";

export type { ImportState } from "./works.ts";

/** Edits that are asked for at once: another tab answers within a moment. */
const EDITS_PER_WORK = 100;

/**
 * Takes edits into the outbox, one mutation each, so that one the server refuses holds up no other. How far it has come is
 * written in the same step as each mutation: interrupted anywhere and called again with the same edits it goes on where it
 * was, and called once more it does nothing, also after somebody has signed out. Fails when the device can take no more now
 * (`storage_full`, `lease_expired`).
 *
 * `name`: of the import, unique on the device. The edits must come in the same order each time.
 */
export async function importOnce<Types>(
  client: AnyClient<Types>,
  name: string,
  edits: readonly Edit[],
): Promise<Result<ImportState, LocalError>> {
  const works = worksOf(client);
  let step = await works.importSome(name, 0, []);
  while (step.ok && step.value.done < edits.length) {
    const { done } = step.value;
    step = await works.importSome(name, done, edits.slice(done, done + EDITS_PER_WORK));
  }
  return step;
}
