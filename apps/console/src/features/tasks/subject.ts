/** The record that a task is about. Which entity it belongs to, the task says in a word of its own. */

import type { EntityName, Row } from "../../data/live.ts";
import { entityOfKind } from "../../data/relations.ts";

type TaskFields = Row<"tasks">["fields"];

export interface Subject {
  readonly entity: EntityName;
  readonly id: string;
}

/** `undefined`: the task is about nothing, or about what this console does not know yet. */
export function subjectOf({ subject_type, subject_id }: TaskFields): Subject | undefined {
  const entity = subject_type === undefined ? undefined : entityOfKind(subject_type);
  return entity === undefined || subject_id === undefined ? undefined : { entity, id: subject_id };
}
