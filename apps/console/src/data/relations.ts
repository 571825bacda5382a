/** Which records are about which others, by the schema. Pure. */

import { crm } from "@syncline/sdk/crm";
import type { EntityName } from "./live.ts";
import { entityOf, isEditable } from "./schema.ts";

/** A field of another entity that names a record. */
export interface Relation {
  readonly entity: EntityName;
  readonly field: string;
  /** Whether a record that has it can be given another value. */
  readonly isMovable: boolean;
}

/** Entities that say what they are about by a kind and an id, with the kind that stands for each entity. */
const KINDS: Readonly<Partial<Record<EntityName, string>>> = {
  contacts: "contact",
  leads: "lead",
  opportunities: "opportunity",
  companies: "company",
};

/** The entity of a kind that tasks and notes name; `undefined`: one that is not known here. */
export function entityOfKind(kind: string): EntityName | undefined {
  return (Object.keys(KINDS) as EntityName[]).find((entity) => KINDS[entity] === kind);
}

/** They stay where their conversation is. */
const FOLLOWING: ReadonlySet<EntityName> = new Set(["messages"]);
const ABOUT_ANY: readonly EntityName[] = ["tasks", "notes"];

/** What can be about a record of an entity: by a declared reference, or as tasks and notes are. */
export function relationsTo(entity: EntityName): readonly Relation[] {
  const declared = (Object.keys(crm.schema.entities) as EntityName[]).flatMap((name) =>
    [...entityOf(name).fields.values()]
      .filter(({ references }) => references === entity)
      .map(
        (field): Relation => ({
          entity: name,
          field: field.name,
          isMovable:
            !FOLLOWING.has(name) && entityOf(name).naturalKey === undefined && isEditable(name, field.name, "update"),
        }),
      ),
  );
  const about = ABOUT_ANY.map((name): Relation => ({ entity: name, field: "subject_id", isMovable: false }));
  return KINDS[entity] === undefined ? declared : [...declared, ...about];
}
