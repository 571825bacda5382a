/** A checked schema: entities, their fields, and the groups in which fields change and conflict together. */

import type { Json } from "../json.ts";
import type { EntityDeclaration, FieldDeclaration, SchemaDeclaration, StrategyDeclaration } from "./declaration.ts";

export interface Schema {
  readonly version: number;
  readonly hash: string;
  readonly entities: ReadonlyMap<string, Entity>;
}

export interface Entity {
  readonly name: string;
  readonly fields: ReadonlyMap<string, Field>;
  /** Fields of the natural key; absent: ids are minted by the creator. */
  readonly naturalKey?: readonly string[];
  readonly isInsertOnly: boolean;
  readonly title?: string;
}

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  /** Every field is in exactly one group; one that declares none is a group of its own. */
  readonly group: Group;
  readonly isRequired: boolean;
  /** Set at creation when the author gave no value. */
  readonly default?: Json;
  /** The entity the field refers to. */
  readonly references?: string;
  /** Equality on this field (of a set: membership) has an index. Always true of references. */
  readonly isIndexed: boolean;
  readonly isSensitive: boolean;
}

export interface Group {
  /** In name order; never empty. */
  readonly fields: readonly string[];
  readonly strategy: Strategy;
}

/** What a field holds; `crates/core/src/schema/types.rs` and `spec/vectors/values.json` say what is canonical. */
export type FieldKind =
  | { readonly type: "text"; readonly maxLength: number; readonly format?: Format; readonly pattern?: Pattern }
  | { readonly type: "choice"; readonly choices: readonly string[] }
  | { readonly type: "integer"; readonly min: number; readonly max: number }
  | {
      readonly type: "decimal";
      readonly precision: number;
      readonly scale: number;
      readonly min?: string;
      readonly max?: string;
    }
  | { readonly type: "json"; readonly maxBytes: number }
  | { readonly type: "set"; readonly items: SetItem; readonly maxItems: number; readonly maxLength: number }
  | { readonly type: "boolean" | "date" | "timestamp" | "uuid" | "counter" };

/** Brings a text to the canonical form of a format, or throws what is expected. */
export type Format = (text: string) => string;

/** Formats by the name a declaration gives them. */
export type Formats = Readonly<Record<string, Format>>;

export type SetItem = "text" | "folded_text" | "uuid";

export interface Pattern {
  readonly source: string;
  readonly message: string;
}

/** What happens when both sides changed a group since their common base (spec §6). */
export type Strategy =
  | {
      readonly name:
        | "last-write-wins"
        | "merge-fields"
        | "add-wins-set"
        | "counter"
        | "max"
        | "merge-keys"
        | "most-restrictive-wins"
        | "higher-role-wins"
        | "manual-review"
        | "version-control";
    }
  | { readonly name: "monotone" | "priority-wins"; readonly order: readonly string[] }
  | { readonly name: "state-machine"; readonly transitions: Readonly<Record<string, readonly string[]>> };

/** The largest whole number that every JSON reader keeps exact: 2^53 − 1. */
export const EXACT_MAX = Number.MAX_SAFE_INTEGER;

const TEXT_LENGTH: Readonly<Record<string, number>> = {
  email: 254,
  phone: 40,
  url: 2048,
  https_url: 2048,
  currency: 3,
  country: 2,
  timezone: 64,
  language: 35,
  slug: 40,
  position: 64,
  hostname: 253,
};
const TEXT_LENGTH_DEFAULT = 255;
const JSON_BYTES_DEFAULT = 65_536;
const SET_ITEMS_DEFAULT = 100;
const SET_LENGTH_DEFAULT = 100;

/**
 * Reads a declaration. Throws when it names a type this version does not know: the server refuses mistakes
 * in a declaration with their line, so what arrives here is either right or of a later version. A format that is not among
 * `formats` is left to the server.
 */
export function readSchema(declaration: SchemaDeclaration, formats: Formats = {}): Schema {
  const entities = Object.entries(declaration.entities).map(([name, entity]) => readEntity(name, entity, formats));
  return {
    version: declaration.version,
    hash: declaration.hash ?? "",
    entities: new Map(entities.map((entity) => [entity.name, entity])),
  };
}

function readEntity(name: string, declaration: EntityDeclaration, formats: Formats): Entity {
  const groups = new Map<string, Group>();
  for (const group of Object.values(declaration.groups ?? {})) {
    const read: Group = { fields: [...group.fields].sort(), strategy: readStrategy(group, "text") };
    for (const field of read.fields) {
      groups.set(field, read);
    }
  }
  const fields = Object.entries(declaration.fields).map(([field, declared]): [string, Field] => {
    const kind = readKind(field, declared, formats);
    const group = groups.get(field) ?? { fields: [field], strategy: readStrategy(declared, kind.type) };
    return [field, readField(field, declared, kind, group)];
  });
  return {
    name,
    fields: new Map(fields),
    isInsertOnly: declaration.insert_only ?? false,
    ...(declaration.id && { naturalKey: declaration.id }),
    ...(declaration.title && { title: declaration.title }),
  };
}

function readField(name: string, declared: FieldDeclaration, kind: FieldKind, group: Group): Field {
  return {
    name,
    kind,
    group,
    isRequired: declared.required ?? false,
    isIndexed: (declared.indexed ?? false) || declared.references !== undefined,
    isSensitive: declared.sensitive ?? false,
    ...(declared.default !== undefined && { default: declared.default }),
    ...(declared.references !== undefined && { references: declared.references }),
  };
}

function readKind(field: string, declared: FieldDeclaration, formats: Formats): FieldKind {
  switch (declared.type) {
    case "text": {
      const format = formats[declared.format ?? ""];
      return {
        type: "text",
        maxLength: declared.max_len ?? TEXT_LENGTH[declared.format ?? ""] ?? TEXT_LENGTH_DEFAULT,
        ...(format !== undefined && { format }),
        ...(declared.pattern !== undefined && {
          pattern: { source: declared.pattern, message: declared.pattern_message ?? "" },
        }),
      };
    }
    case "choice":
      return { type: "choice", choices: declared.choices ?? [] };
    case "integer":
      return { type: "integer", min: Number(declared.min ?? -EXACT_MAX), max: Number(declared.max ?? EXACT_MAX) };
    case "decimal":
      return {
        type: "decimal",
        precision: declared.precision ?? 0,
        scale: declared.scale ?? 0,
        ...(declared.min !== undefined && { min: String(declared.min) }),
        ...(declared.max !== undefined && { max: String(declared.max) }),
      };
    case "json":
      return { type: "json", maxBytes: declared.max_bytes ?? JSON_BYTES_DEFAULT };
    case "set":
      return {
        type: "set",
        items: readItem(field, declared.items),
        maxItems: declared.max_items ?? SET_ITEMS_DEFAULT,
        maxLength: declared.max_len ?? SET_LENGTH_DEFAULT,
      };
    case "boolean":
    case "date":
    case "timestamp":
    case "uuid":
    case "counter":
      return { type: declared.type };
    default:
      return laterVersion(`the type ${declared.type} of ${field}`);
  }
}

function readItem(field: string, items: string | undefined): SetItem {
  if (items === "text" || items === "folded_text" || items === "uuid") {
    return items;
  }
  return laterVersion(`the items ${items} of ${field}`);
}

/** The name is taken as it is: one of a later version is met where a decision is foreseen, and decided by the server. */
function readStrategy({ strategy, order, transitions }: StrategyDeclaration, type: FieldKind["type"]): Strategy {
  const name = strategy ?? (type === "set" ? "add-wins-set" : type === "counter" ? "counter" : "merge-fields");
  return { name, order: order ?? [], transitions: transitions ?? {} } as unknown as Strategy;
}

function laterVersion(what: string): never {
  throw new Error(`${what} is not known to this version: update it`);
}
