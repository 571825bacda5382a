/**
 * Writes `src/crm/schema.ts` (the declaration a device needs) and `src/crm/types.ts` from `schema/crm.toml`.
 * `npm run generate`; a test fails when the files are not what this writes.
 */

import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parse } from "smol-toml";

const HEAD = "// Written by scripts/generate-crm.mjs from schema/crm.toml. Do not edit: `npm run generate`.\n\n";
/** Members of the declaration that only the server reads. */
const SERVER_ENTITY = new Set(["tier", "scope", "create", "update", "delete", "rules", "derived"]);
const SERVER_FIELD = new Set(["on_delete", "min_role", "stamp"]);

/** The files by their path below `src/crm/`. */
export function generate() {
  const text = readFileSync(new URL("../../../schema/crm.toml", import.meta.url), "utf8");
  const declaration = parse(text);
  return { "schema.ts": schemaFile(declaration), "types.ts": typesFile(declaration.entities) };
}

function schemaFile(declaration) {
  const entities = Object.entries(declaration.entities).map(([name, entity]) => {
    const fields = Object.entries(entity.fields).map(([field, declared]) => [field, without(declared, SERVER_FIELD)]);
    return [name, { ...without(entity, SERVER_ENTITY), fields: Object.fromEntries(fields) }];
  });
  const { version, roles } = declaration;
  const hash = createHash("sha256").update(sorted(declaration)).digest("hex").slice(0, 16);
  const schema = { version, hash, roles, entities: Object.fromEntries(entities) };
  const head = 'import type { SchemaDeclaration } from "../schema/declaration.ts";\n\n';
  return `${HEAD}${head}/** The default CRM schema. */\nexport const crmSchema: SchemaDeclaration = ${lines(schema, 4)};\n`;
}

/** JSON with a line for each member down to `depth`: a field that changes is a line that changes. */
function lines(value, depth, indent = "") {
  if (depth === 0 || typeof value !== "object" || value === null || Array.isArray(value)) {
    return JSON.stringify(value);
  }
  const inner = `${indent}  `;
  const members = Object.entries(value).map(
    ([name, member]) => `${inner}${JSON.stringify(name)}: ${lines(member, depth - 1, inner)}`,
  );
  return `{\n${members.join(",\n")}\n${indent}}`;
}

function typesFile(entities) {
  const names = Object.keys(entities);
  const map = names.map((name) => {
    const type = typeName(name);
    return `  ${name}: { record: ${type}; create: ${type}Create; update: ${type}Update };`;
  });
  const all = `/** Every entity of the default CRM schema. */\nexport interface CrmEntities {\n${map.join("\n")}\n}\n`;
  return `${HEAD}import type { Json } from "../json.ts";\n\n${all}\n${names.map((name) => entityTypes(name, entities[name])).join("\n")}`;
}

/** Record, create and update: what the server alone writes cannot be named in an edit, nor can what never changes. */
function entityTypes(name, entity) {
  const type = typeName(name);
  const isWritten = (field) => !(field.server_only || field.stamp);
  const fields = Object.entries(entity.fields);
  const record = fields.map(([field, declared]) => `  ${field}?: ${valueType(declared)};`);
  const create = fields
    .filter(([, declared]) => isWritten(declared))
    .map(([field, declared]) => {
      const isNeeded = declared.required && declared.default === undefined;
      return `  ${field}${isNeeded ? "" : "?"}: ${valueType(declared)}${isNeeded ? "" : " | null"};`;
    });
  const update = entity.insert_only
    ? []
    : fields
        .filter(([, declared]) => isWritten(declared) && !declared.immutable)
        .map(([field, declared]) => `  ${field}?: ${patchType(declared)}${declared.required ? "" : " | null"};`);
  return [
    `export interface ${type} {\n${record.join("\n")}\n}\n`,
    // What the server alone creates cannot be created: there is no value of this type.
    entity.create === "server"
      ? `export type ${type}Create = never;\n`
      : `export interface ${type}Create {\n${create.join("\n")}\n}\n`,
    update.length === 0
      ? `export type ${type}Update = Record<string, never>;\n`
      : `export interface ${type}Update {\n${update.join("\n")}\n}\n`,
  ].join("\n");
}

function valueType(field) {
  switch (field.type) {
    case "choice":
      return field.choices.map((choice) => JSON.stringify(choice)).join(" | ");
    case "integer":
    case "counter":
      return "number";
    case "boolean":
      return "boolean";
    case "json":
      return "Json";
    case "set":
      return "readonly string[]";
    default:
      return "string";
  }
}

function patchType(field) {
  switch (field.type) {
    case "set":
      return "readonly string[] | { add?: readonly string[]; remove?: readonly string[] }";
    case "counter":
      return "number | { inc: number }";
    default:
      return valueType(field);
  }
}

/** `lead_activities` becomes `LeadActivity`, `companies` `Company`. */
function typeName(entity) {
  const words = entity.split("_").map((word) => word[0].toUpperCase() + word.slice(1));
  const name = words.join("");
  if (name.endsWith("ies")) {
    return `${name.slice(0, -3)}y`;
  }
  return name.endsWith("s") && !name.endsWith("ss") ? name.slice(0, -1) : name;
}

function without(object, names) {
  return Object.fromEntries(Object.entries(object).filter(([name]) => !names.has(name)));
}

/** JSON with members in the order of their names' bytes, as the server hashes it. */
function sorted(value) {
  if (Array.isArray(value)) {
    return `[${value.map(sorted).join(",")}]`;
  }
  if (typeof value === "object" && value !== null) {
    const names = Object.keys(value).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return `{${names.map((name) => `${JSON.stringify(name)}:${sorted(value[name])}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, text] of Object.entries(generate())) {
    writeFileSync(new URL(`../src/crm/${name}`, import.meta.url), text);
  }
}
