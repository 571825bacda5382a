/** Data that a program kept on the device before it used Syncline, taken into the outbox once and without loss. */

import type { Json } from "../json.ts";
import { type Edit, type LocalError, mutate } from "../replica/edit.ts";
import { ok, type Result } from "../result.ts";
import type { Client } from "./client.ts";

/** How far an import has come. Kept on the device until it is forgotten there. */
export interface ImportState {
  /** Edits that are done with: taken or refused. */
  readonly done: number;
  /** Edits that do not fit the schema, with what to put right. They are in no outbox: show them. */
  readonly refused: readonly { readonly edit: Edit; readonly error: LocalError }[];
}

/**
 * Takes edits into the outbox, one mutation each, so that one the server refuses holds up no other. How far it has come is
 * written in the same step as each mutation: interrupted anywhere and called again with the same edits it goes on where it
 * was, and called once more it does nothing. Fails when the device can take no more now (`storage_full`, `lease_expired`).
 *
 * `name`: of the import, unique on the device. The edits must come in the same order each time.
 */
export async function importOnce<Types>(
  client: Client<Types>,
  name: string,
  edits: readonly Edit[],
): Promise<Result<ImportState, LocalError>> {
  const key = `import ${name}`;
  for (;;) {
    const step = await client.edit(async (replica, stamp): Promise<Result<ImportState, LocalError>> => {
      const held = ((await replica.store.local(key)) ?? { done: 0, refused: [] }) as unknown as ImportState;
      const edit = edits[held.done];
      if (edit === undefined) {
        return ok(held);
      }
      const taken = { ...held, done: held.done + 1 };
      const drafted = await mutate(replica, [edit], stamp, [[key, taken as unknown as Json]]);
      if (drafted.ok) {
        return ok(taken);
      }
      if (drafted.error.class !== "rejected" && drafted.error.code !== "not_found") {
        return drafted;
      }
      const after = { ...taken, refused: [...held.refused, { edit, error: drafted.error }] };
      await replica.write({ localPut: [[key, after as unknown as Json]] });
      return ok(after);
    });
    if (!step.ok || step.value.done >= edits.length) {
      return step;
    }
  }
}
