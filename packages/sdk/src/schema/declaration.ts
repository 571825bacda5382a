/** The declaration of a schema as JSON: what `schema/crm.toml` says, member for member. */

import type { Json } from "../json.ts";

export interface SchemaDeclaration {
  readonly version: number;
  /** First 16 hex digits of the SHA-256 over the declaration; the server compares it with its own. */
  readonly hash?: string;
  /** Rank by role name; higher overrules lower. */
  readonly roles: Readonly<Record<string, number>>;
  readonly entities: Readonly<Record<string, EntityDeclaration>>;
}

export interface EntityDeclaration {
  /** The least role that may do it; `server`: nobody may. Absent: see the server's declaration. */
  readonly create?: string;
  readonly update?: string;
  readonly delete?: string;
  /** Field shown as the record's title. */
  readonly title?: string;
  readonly insert_only?: boolean;
  /** Fields of the natural key, when the id follows from it. */
  readonly id?: readonly string[];
  readonly fields: Readonly<Record<string, FieldDeclaration>>;
  readonly groups?: Readonly<Record<string, GroupDeclaration>>;
  readonly unique?: readonly UniqueDeclaration[];
}

/** Fields in which no two live records may agree. */
export interface UniqueDeclaration {
  readonly name: string;
  readonly fields: readonly string[];
  /** Texts are compared without case. */
  readonly case_folded?: boolean;
}

export interface GroupDeclaration extends StrategyDeclaration {
  readonly fields: readonly string[];
}

export interface StrategyDeclaration {
  readonly strategy?: string;
  readonly order?: readonly string[];
  readonly transitions?: Readonly<Record<string, readonly string[]>>;
}

export interface FieldDeclaration extends StrategyDeclaration {
  readonly type: string;
  readonly required?: boolean;
  readonly default?: Json;
  /** The entity the field refers to. */
  readonly references?: string;
  readonly indexed?: boolean;
  /** Personal or secret: never logged, encrypted where the store can. */
  readonly sensitive?: boolean;
  readonly immutable?: boolean;
  readonly server_only?: boolean;
  /** The least role that may write it. */
  readonly min_role?: string;
  readonly max_len?: number;
  readonly format?: string;
  readonly pattern?: string;
  readonly pattern_message?: string;
  readonly choices?: readonly string[];
  /** Of an integer a number, of a decimal its text. */
  readonly min?: number | string;
  readonly max?: number | string;
  readonly precision?: number;
  readonly scale?: number;
  readonly max_bytes?: number;
  readonly items?: string;
  readonly max_items?: number;
}
