/** Many mutations drafted for one step of the store: each sees those before it, as if they were written already. */

import { CONFLICTS, type RecordKey } from "../protocol/frames.ts";
import { ok, type Result } from "../result.ts";
import { type Drafted, type Drafting, drafted, draftOf, type Edit, type LocalError, type Stamp } from "./edit.ts";
import { Outbox } from "./outbox.ts";
import type { Replica } from "./replica.ts";
import { nameOf } from "./step.ts";
import type { BaseRecord, ReplicaMeta, ReplicaWrites } from "./store.ts";

export class Drafts {
  readonly #replica: Replica;
  /** Base records that the edits name, read at once. */
  readonly #base: ReadonlyMap<string, BaseRecord | undefined>;
  readonly #added = new Outbox();

  private constructor(replica: Replica, base: ReadonlyMap<string, BaseRecord | undefined>) {
    this.#replica = replica;
    this.#base = base;
  }

  /** For mutations of these edits, and of no others. */
  static async open(replica: Replica, edits: readonly Edit[]): Promise<Drafts> {
    const keys = edits.map(
      (edit): RecordKey => (edit.edit === "resolve" ? [CONFLICTS, edit.conflict] : [edit.entity, edit.id]),
    );
    const records = await replica.store.base(keys);
    return new Drafts(replica, new Map(keys.map((key, index) => [nameOf(key), records[index]])));
  }

  /** Drafts one mutation more; it is nowhere before {@link write}. */
  async add(edits: readonly Edit[], stamp: Stamp): Promise<Result<Drafted, LocalError>> {
    const draft = await draftOf(this.#seen(), edits, stamp);
    if (!draft.ok) {
      return draft;
    }
    this.#added.set(draft.value);
    return ok(drafted(draft.value));
  }

  /** Writes what was drafted in one step, with what is given beside it. */
  async write(beside: { readonly meta?: Partial<ReplicaMeta> } & Pick<ReplicaWrites, "localPut"> = {}): Promise<void> {
    const outboxPut = this.#added.from(0);
    if (outboxPut.length > 0 || beside.meta !== undefined) {
      await this.#replica.write({ ...beside, meta: { ...this.#meta(), ...beside.meta }, outboxPut });
    }
  }

  #meta(): ReplicaMeta {
    const { meta } = this.#replica;
    return { ...meta, nextClientSeq: meta.nextClientSeq + this.#added.size };
  }

  /** The replica with the drafts in its outbox. */
  #seen(): Drafting {
    const replica = this.#replica;
    return {
      meta: this.#meta(),
      schema: replica.schema,
      isLocked: (nowMs) => replica.isLocked(nowMs),
      outbox: { touching: (key) => [...replica.outbox.touching(key), ...this.#added.touching(key)] },
      store: { base: async (keys) => keys.map((key) => this.#base.get(nameOf(key))) },
    };
  }
}
