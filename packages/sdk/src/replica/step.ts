/** Changes to the base on their way into one write: with the digests and scope rows that follow from them. */

import { type Digest, DigestSum, EMPTY_DIGEST } from "../digest.ts";
import { type Fields, objectOf } from "../json.ts";
import type { RecordKey, WireOp } from "../protocol/frames.ts";
import type { BaseRecord, DraftWrites, ReplicaStore, ScopeState } from "./store.ts";

/** Which of two states of a record stands. */
export type Precedence =
  /** What arrives, whatever its rv: live batches and catch-ups. */
  | "arriving"
  /** The higher rv: rows of a snapshot, which may be older than what live batches brought. */
  | "higher_rv";

/** The base as it will be, over what is stored. Everything it may touch is read once, before the first change. */
export class Step {
  readonly scopes: Map<string, ScopeState>;
  /** A patch named a record that is not there and no scope is loading (spec BAT-2). */
  hasHole = false;
  /** Cursor from which a live batch, or rows beside live batches, are applied: a scope that stands elsewhere is behind. */
  readonly liveAt: number | undefined;
  readonly #held: Map<string, BaseRecord | undefined>;
  readonly #changed = new Map<string, readonly [RecordKey, BaseRecord | undefined]>();
  readonly #sums = new Map<string, DigestSum>();

  private constructor(scopes: Map<string, ScopeState>, held: Map<string, BaseRecord | undefined>, liveAt?: number) {
    this.scopes = scopes;
    this.#held = held;
    this.liveAt = liveAt;
  }

  /** A step that may touch the records of `keys`, and no others. */
  static async open(store: ReplicaStore, keys: Iterable<RecordKey>, liveAt?: number): Promise<Step> {
    const byName = new Map([...keys].map((key) => [nameOf(key), key] as const));
    const records = byName.size === 0 ? [] : await store.base([...byName.values()]);
    const held = new Map([...byName.keys()].map((name, index) => [name, records[index]] as const));
    return new Step(await store.scopes(), held, liveAt);
  }

  record(key: RecordKey): BaseRecord | undefined {
    const name = nameOf(key);
    if (!this.#held.has(name)) {
      throw new Error(`the step was not opened for ${key.join(" ")}`);
    }
    return this.#held.get(name);
  }

  /** `at`: where a scope that nobody announced starts (spec BAT-7). */
  apply(op: WireOp, precedence: Precedence, at: number): void {
    const key: RecordKey = [op.entity, op.id];
    const held = this.record(key);
    if (op.op === "leave") {
      this.remove(key);
      return;
    }
    // A download or comparison read the record later than a live change that arrives now.
    const isLive = precedence === "arriving" && this.liveAt !== undefined;
    if (isLive && held !== undefined && held.rv > op.rv) {
      return;
    }
    switch (op.op) {
      case "put": {
        const isOlder = held !== undefined && held.rv > op.rv;
        // It moved here behind the cursor's back: the live batch that says so is on its way.
        const hasMoved = held !== undefined && held.scope !== op.scope && !this.#isBehind(held.scope, at);
        const isAhead = this.liveAt !== undefined && op.rv > this.liveAt && hasMoved;
        if (precedence === "higher_rv" && (isOlder || isAhead)) {
          return;
        }
        const { fields: given } = op;
        const fields = Object.values(given).includes(null)
          ? objectOf(Object.entries(given).filter(([, value]) => value !== null))
          : given;
        this.#set(key, { entity: op.entity, id: op.id, rv: op.rv, scope: op.scope, fields }, at);
        return;
      }
      case "patch":
        if (held === undefined) {
          this.hasHole ||= [...this.scopes.values()].every((scope) => scope.loading === undefined);
        } else {
          this.#patch(held, op, at);
        }
        return;
      case "del":
        this.remove(key);
    }
  }

  remove(key: RecordKey): void {
    if (this.record(key) !== undefined) {
      this.#set(key, undefined, 0);
    }
  }

  /** The digest of a scope as it will be; of one that is not held that of nothing. */
  digest(scope: string): Digest {
    return this.#sums.get(scope)?.value() ?? this.scopes.get(scope)?.digest ?? EMPTY_DIGEST;
  }

  /** As writes: all touched records, all scopes. */
  intoWrites(): DraftWrites {
    const changed = [...this.#changed.values()];
    return {
      isRepeatable: true,
      scopes: [...this.scopes].map(([scope, state]) => [scope, { ...state, digest: this.digest(scope) }] as const),
      basePut: changed.flatMap(([, record]) => (record === undefined ? [] : [record])),
      baseDelete: changed.flatMap(([key, record]) => (record === undefined ? [key] : [])),
    };
  }

  #patch(held: BaseRecord, op: Extract<WireOp, { op: "patch" }>, at: number): void {
    const scope = op.scope ?? held.scope;
    if (this.#isBehind(held.scope, at)) {
      // What is held may lack earlier changes. With its content and rv as they were the rest of the loading finds it; in a
      // scope that is up to date nothing more would come, so there it must be missing.
      if (!this.#isBehind(scope, at)) {
        this.#sum(scope, at);
        this.remove([op.entity, op.id]);
      }
      return;
    }
    this.#set([op.entity, op.id], { ...held, rv: op.rv, scope, fields: withChanges(held.fields, op.fields) }, at);
  }

  /** Whether rows of the scope may be older than the cursor says. */
  #isBehind(scope: string, at: number): boolean {
    const state = this.scopes.get(scope);
    if (state === undefined) {
      return false;
    }
    const isElsewhere = this.liveAt !== undefined && state.seq !== this.liveAt && state.seq !== at;
    return state.loading !== undefined || isElsewhere;
  }

  #set(key: RecordKey, record: BaseRecord | undefined, at: number): void {
    const held = this.record(key);
    if (held !== undefined) {
      this.#sum(held.scope, at).remove(held.entity, held.id, held.rv);
    }
    if (record !== undefined) {
      this.#sum(record.scope, at).add(record.entity, record.id, record.rv);
    }
    this.#held.set(nameOf(key), record);
    this.#changed.set(nameOf(key), [key, record]);
  }

  /** A scope that nobody announced came into being under a grant of everything: it starts at `at` (spec BAT-7). */
  #sum(scope: string, at: number): DigestSum {
    let state = this.scopes.get(scope);
    if (state === undefined) {
      state = { seq: at, digest: EMPTY_DIGEST };
      this.scopes.set(scope, state);
    }
    let sum = this.#sums.get(scope);
    if (sum === undefined) {
      sum = new DigestSum(state.digest);
      this.#sums.set(scope, sum);
    }
    return sum;
  }
}

/** Keys of the records that ops name. */
export function keysOf(ops: readonly WireOp[]): RecordKey[] {
  return ops.map((op) => [op.entity, op.id]);
}

function withChanges(fields: Fields, changes: Fields): Fields {
  const after = new Map(Object.entries(fields));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) {
      after.delete(name);
    } else {
      after.set(name, value);
    }
  }
  return objectOf(after);
}

/** One text for a key: names of entities have no spaces. */
export function nameOf([entity, id]: RecordKey): string {
  return `${entity} ${id}`;
}
