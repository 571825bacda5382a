/** One entity as a program uses it. Types come from the generated declarations of a schema. */

import type { Fields } from "../json.ts";
import type { Drafted, Edit, LocalError } from "../replica/edit.ts";
import type { Viewed } from "../replica/view.ts";
import type { Result } from "../result.ts";
import type { LiveQuery, LiveState } from "../views/live.ts";
import type { Query } from "../views/query.ts";

/** The shapes of one entity: as it reads, as it is created, as it is changed. */
export interface EntityTypes {
  readonly record: object;
  readonly create: object;
  readonly update: object;
}

/** A record as the person sees it. Never changed: a new state is a new object. */
export interface RecordOf<T extends EntityTypes> {
  readonly id: string;
  /** Of the server's state; 0 while the record exists here only. */
  readonly rv: number;
  readonly fields: T["record"];
  /** `pending`: part of it waits in the outbox. */
  readonly state: "synced" | "pending";
}

/** All conditions must hold. */
export interface QueryOf<T extends EntityTypes> {
  /** Equalities: a scalar equals, a set contains the item; `null`: no value. */
  readonly where?: {
    readonly [Name in keyof T["record"]]?: Item<T["record"][Name]> | null;
  };
  readonly filter?: (record: RecordOf<T>) => boolean;
  /** Ascending; without one in order of creation. */
  readonly sort?: Extract<keyof T["record"], string>;
  readonly isDescending?: boolean;
  readonly limit?: number;
}

type Item<V> = NonNullable<V> extends readonly (infer I)[] ? I : NonNullable<V>;

/** What a live query of the entity shows. */
export interface LiveOf<T extends EntityTypes> {
  readonly subscribe: (listener: () => void) => () => void;
  readonly snapshot: () => { readonly state: LiveState["state"]; readonly rows: readonly RecordOf<T>[] };
}

/** The device behind the entities. */
export interface EntityHost {
  mintId(): string;
  mutate(edits: readonly Edit[]): Promise<Result<Drafted, LocalError>>;
  get(entity: string, id: string): Promise<Viewed | undefined>;
  select(entity: string, query: Query): Promise<readonly Viewed[]>;
  live(entity: string, query: Query): LiveQuery;
}

export class EntityApi<T extends EntityTypes> {
  readonly #host: EntityHost;
  readonly #entity: string;

  constructor(host: EntityHost, entity: string) {
    this.#host = host;
    this.#entity = entity;
  }

  /** Creates a record; it is visible and durable when this resolves. Returns its id. */
  async create(fields: T["create"]): Promise<Result<string, LocalError>> {
    const id = this.#host.mintId();
    const edit = { edit: "create", entity: this.#entity, id, fields: fields as Fields } as const;
    const drafted = await this.#host.mutate([edit]);
    return drafted.ok ? { ok: true, value: drafted.value.ids[0] ?? id } : drafted;
  }

  /** Changes fields of a record; those that are not named stay. `null` clears. */
  async update(id: string, fields: T["update"]): Promise<Result<number, LocalError>> {
    return this.#mutate({ edit: "update", entity: this.#entity, id, fields: fields as Fields });
  }

  async delete(id: string): Promise<Result<number, LocalError>> {
    return this.#mutate({ edit: "delete", entity: this.#entity, id });
  }

  /** Brings a deleted record back with its last values and `fields` on top. */
  async restore(id: string, fields: T["update"]): Promise<Result<number, LocalError>> {
    return this.#mutate({ edit: "restore", entity: this.#entity, id, fields: fields as Fields });
  }

  /** The record as the person sees it, with what is pending; `undefined`: there is none. */
  async get(id: string): Promise<RecordOf<T> | undefined> {
    return (await this.#host.get(this.#entity, id)) as RecordOf<T> | undefined;
  }

  /** Records that match now. */
  async select(query: QueryOf<T> = {}): Promise<readonly RecordOf<T>[]> {
    const rows: readonly Viewed[] = await this.#host.select(this.#entity, query as Query);
    return rows as unknown as readonly RecordOf<T>[];
  }

  /** A query that stays true while somebody listens. */
  live(query: QueryOf<T> = {}): LiveOf<T> {
    const live: LiveQuery = this.#host.live(this.#entity, query as Query);
    return live as unknown as LiveOf<T>;
  }

  async #mutate(edit: Edit): Promise<Result<number, LocalError>> {
    const drafted = await this.#host.mutate([edit]);
    return drafted.ok ? { ok: true, value: drafted.value.clientSeq } : drafted;
  }
}
