/** What modules of this package do in the replica itself, so that it can be asked of the tab that has it. */

import type { Json } from "../json.ts";
import { Drafts } from "../replica/drafts.ts";
import { type Drafted, type Edit, findMutations, type LocalError } from "../replica/edit.ts";
import { ok, type Result } from "../result.ts";
import type { Client } from "./client.ts";

/** How far an import has come. Kept on the device until everything there is deleted. */
export interface ImportState {
  /** Edits that are done with: taken or refused. */
  readonly done: number;
  /** Edits that do not fit the schema, with what to put right. They are in no outbox: show them. */
  readonly refused: readonly { readonly edit: Edit; readonly error: LocalError }[];
}

/** The edits of one mutation, and its name. */
export interface NamedEdits {
  readonly mutationId: string;
  readonly edits: readonly Edit[];
}

/** Each may be asked twice. */
export interface Works {
  /** Keeps a value of the device alone under a key; `null` deletes it. Durable when this resolves. */
  keep(key: string, value: Json): Promise<Result<undefined, LocalError>>;
  kept(key: string): Promise<Result<Json | undefined, LocalError>>;
  /**
   * Takes mutations into the outbox in one step, each whole or not at all; says what became of each. `isNew`: none of them
   * was asked for before.
   */
  mutateSome(
    mutations: readonly NamedEdits[],
    isNew?: boolean,
  ): Promise<Result<readonly Result<Drafted, LocalError>[], LocalError>>;
  /** Takes `edits`, which are those of the import from its `from`th on; those that are done with already are passed over. */
  importSome(name: string, from: number, edits: readonly Edit[]): Promise<Result<ImportState, LocalError>>;
}

/** Whether an edit was refused for what it says: others may be taken. */
export function isAboutOne({ class: kind, code }: LocalError): boolean {
  return kind === "rejected" || code === "not_found";
}

/** The works of a client, here or in another tab. */
export function worksOf(client: { readonly works?: Works }): Works {
  return client.works ?? worksIn(client as Client<never>);
}

/** The works of a client that is here. */
export function worksIn(client: Client<never>): Works {
  return {
    keep: (key, value) =>
      client.edit(async (replica) => ok((await replica.write({ localPut: [[key, value]] })) as undefined)),
    kept: (key) => client.edit(async (replica) => ok(await replica.store.local(key))),
    mutateSome: (mutations, isNew = false) =>
      client.edit(async (replica, { nowMs }) => {
        const taken = isNew ? new Map<string, Drafted>() : await findMutations(replica);
        const drafts = await Drafts.open(
          replica,
          mutations.flatMap(({ edits }) => edits),
        );
        const results: Result<Drafted, LocalError>[] = [];
        for (const { mutationId, edits } of mutations) {
          const held = taken.get(mutationId);
          results.push(held === undefined ? await drafts.add(edits, { mutationId, nowMs }) : ok(held));
        }
        await drafts.write();
        return ok(results);
      }),
    importSome: (name, from, edits) => importSome(client, name, from, edits),
  };
}

/** Edits of an import, one mutation each, and in the same step how far the import has come. */
function importSome(
  client: Client<never>,
  name: string,
  from: number,
  edits: readonly Edit[],
): Promise<Result<ImportState, LocalError>> {
  const key = `import ${name}`;
  return client.edit(async (replica, { nowMs }) => {
    const held = (await replica.store.local(key)) as ImportState | undefined;
    const refused = [...(held?.refused ?? [])];
    // Beside who the device is, where signing out does not reach: the data is in, and must not come a second time.
    const begun = replica.meta.imports?.[name] ?? held?.done ?? 0;
    const left = begun < from ? [] : edits.slice(begun - from);
    const drafts = await Drafts.open(replica, left);
    for (const edit of left) {
      const draft = await drafts.add([edit], { mutationId: client.mintId(), nowMs });
      if (!draft.ok) {
        if (!isAboutOne(draft.error)) {
          return draft;
        }
        refused.push({ edit, error: draft.error });
      }
    }
    const state: ImportState = { done: begun + left.length, refused };
    if (left.length > 0) {
      const imports = { ...replica.meta.imports, [name]: state.done };
      await drafts.write({ meta: { imports }, localPut: [[key, state as unknown as Json]] });
    }
    return ok(state);
  });
}
