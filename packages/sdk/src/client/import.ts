/**
 * Many mutations at a time: `mutateAll(client, [[edit, …], …], { signal, onProgress })` puts thousands into the outbox within
 * seconds, each a mutation of its own; `importOnce` does so with data a program kept before it used Syncline, once and without
 * loss.
 */

import type { Drafted, Edit, LocalError } from "../replica/edit.ts";
import type { Result } from "../result.ts";
import type { AnyClient } from "./any.ts";
import { type ImportState, isAboutOne, worksOf } from "./works.ts";

export type { ImportState } from "./works.ts";

/** Mutations of one step of the store: another tab answers, and a screen is drawn, within a moment. */
const MUTATIONS_PER_WORK = 500;

export interface MutateAllOptions {
  /** Ends it between two steps; what is taken stays. */
  readonly signal?: AbortSignal;
  /** Called after each step with how many mutations are done with, taken or not. */
  readonly onProgress?: (done: number) => void;
}

/**
 * Takes many mutations into the outbox, hundreds in each step of the store: visible and durable when this resolves.
 *
 * `mutations`: the edits of each. Each is a mutation of its own, as with `client.mutate`: whole or not at all, and one that the
 * device or the server refuses holds up no other but those that build on it. Later ones may build on earlier ones: create the
 * contact of a lead before the lead. Returns what became of each, in their order; fewer only when `signal` ended it. When the
 * device can take no more (`storage_full`, `lease_expired`) all that are left have that error.
 */
export async function mutateAll<Types>(
  client: AnyClient<Types>,
  mutations: readonly (readonly Edit[])[],
  { signal, onProgress }: MutateAllOptions = {},
): Promise<Result<Drafted, LocalError>[]> {
  const works = worksOf(client);
  const results: Result<Drafted, LocalError>[] = [];
  while (results.length < mutations.length && signal?.aborted !== true) {
    const some = mutations.slice(results.length, results.length + MUTATIONS_PER_WORK);
    const taken = await works.mutateSome(some.map((edits) => ({ mutationId: client.mintId(), edits })));
    const step = taken.ok ? taken.value : some.map(() => taken);
    results.push(...step);
    onProgress?.(results.length);
    const last = step.at(-1);
    if (last?.ok === false && !isAboutOne(last.error)) {
      results.push(...mutations.slice(results.length).map(() => last));
    }
  }
  return results;
}

/**
 * Takes edits into the outbox, one mutation each, so that one the server refuses holds up no other. How far it has come is
 * written in the same step as the mutations: interrupted anywhere and called again with the same edits it goes on where it
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
    step = await works.importSome(name, done, edits.slice(done, done + MUTATIONS_PER_WORK));
  }
  return step;
}
