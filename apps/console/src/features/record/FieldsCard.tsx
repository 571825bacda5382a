import type { ReactNode } from "react";
import { Card } from "../../components/Page.tsx";
import type { EntityName } from "../../data/live.ts";
import { EditableField } from "./EditableField.tsx";

interface FieldsCardProps {
  readonly title: string;
  readonly entity: EntityName;
  readonly id: string;
  readonly fields: object;
  readonly names: readonly string[];
  readonly actions?: ReactNode;
}

/** Fields of a record that are edited where they stand. */
export function FieldsCard({ title, entity, id, fields, names, actions }: FieldsCardProps) {
  return (
    <Card title={title} actions={actions}>
      <div className="px-4 py-2">
        {names.map((name) => (
          <EditableField
            key={name}
            entity={entity}
            id={id}
            name={name}
            fields={fields as Readonly<Record<string, unknown>>}
          />
        ))}
      </div>
    </Card>
  );
}
