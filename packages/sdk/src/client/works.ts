/** What modules of this package do in the replica itself, so that it can be asked of the tab that has it. */

import type { Json } from "../json.ts";
import { type Edit, type LocalError, mutate } from "../replica/edit.ts";
import { ok, type Result } from "../result.ts";
import type { Client } from "./client.ts";

/** How far an import has come. Kept on the device until everything there is deleted. */
export interface ImportState {
  /** Edits that are done with: taken or refused. */
  readonly done: number;
  /** Edits that do not fit the schema, with what to put right. They are in no outbox: show them. */
  readonly refused: readonly { readonly edit: Edit; readonly error: LocalError }[];
}

/** Each may be asked twice. */
export interface Works {
  /** Keeps a value of the device alone under a key; `null` deletes it. Durable when this resolves. */
  keep(key: string, value: Json): Promise<Result<undefined, LocalError>>;
  kept(key: string): Promise<Result<Json | undefined, LocalError>>;
  /** Takes `edits`, which are those of the import from its `from`th on; those that are done with already are passed over. */
  importSome(name: string, from: number, edits: readonly Edit[]): Promise<Result<ImportState, LocalError>>;
}

/** The works of a client, here or in another tab. */
export function worksOf(client: { readonly works?: Works }): Works {
  return client.works ?? worksIn(client as Client<never>);
}

/** The works of a client that is here. */
export function worksIn(client: Client<never>): Works {
  return {
    keep: (key, value) =>
      client.edit(async (replica) => {
        await replica.write({ localPut: [[key, value]] });
        return ok(undefined);
      }),
    kept: (key) => client.edit(async (replica) => ok(await replica.store.local(key))),
    importSome: async (name, from, edits) => {
      for (;;) {
        const step = await importNext(client, name, from, edits);
        if (!step.ok || step.value.done < from || step.value.done >= from + edits.length) {
          return step;
        }
      }
    },
  };
}

/** The next edit of an import, and in the same step how far the import has come. */
function importNext(
  client: Client<never>,
  name: string,
  from: number,
  edits: readonly Edit[],
): Promise<Result<ImportState, LocalError>> {
  const key = `import ${name}`;
  return client.edit(async (replica, stamp) => {
    const held = (await replica.store.local(key)) as ImportState | undefined;
    // Beside who the device is, where signing out does not reach: the data is in, and must not come a second time.
    const done = replica.meta.imports?.[name] ?? held?.done ?? 0;
    const state: ImportState = { done, refused: held?.refused ?? [] };
    const edit = edits[done - from];
    if (edit === undefined) {
      return ok(state);
    }
    const taken = { ...state, done: done + 1 };
    const imports = { ...replica.meta.imports, [name]: taken.done };
    const drafted = await mutate(replica, [edit], stamp, { meta: { imports } });
    if (drafted.ok) {
      return ok(taken);
    }
    if (drafted.error.class !== "rejected" && drafted.error.code !== "not_found") {
      return drafted;
    }
    const after = { ...taken, refused: [...state.refused, { edit, error: drafted.error }] };
    await replica.write({ meta: { ...replica.meta, imports }, localPut: [[key, after as unknown as Json]] });
    return ok(after);
  });
}
