import { Choose, type Option } from "../../components/Choose.tsx";
import { Card } from "../../components/Page.tsx";
import { labelOf } from "../../data/schema.ts";
import type { Sheet } from "./files.ts";
import { type ImportKind, type Target, targetsOf } from "./mapping.ts";

interface MappingProps {
  readonly sheet: Sheet;
  readonly kind: ImportKind;
  readonly mapping: readonly Target[];
  readonly onMapping: (mapping: readonly Target[]) => void;
}

const SAMPLES = 3;

function optionsOf(kind: ImportKind): readonly Option[] {
  const of = (entity: "contacts" | "leads", of: string): Option[] =>
    targetsOf(entity).map((field) => ({
      value: `${entity}.${field}`,
      label: kind === "leads" ? `${of}: ${labelOf(field)}` : labelOf(field),
    }));
  return [...of("contacts", "Contact"), ...(kind === "leads" ? of("leads", "Lead") : [])];
}

/** Each column of the file, what is in it, and the field it becomes. */
export function MappingCard({ sheet, kind, mapping, onMapping }: MappingProps) {
  const options = optionsOf(kind);
  const change = (column: number, value: string): void => {
    const [entity, field] = value.split(".");
    const target = field === undefined ? undefined : { entity: entity as "contacts" | "leads", field };
    onMapping(mapping.map((held, place) => (place === column ? target : held)));
  };
  return (
    <Card title="Columns">
      <fieldset className="min-w-0 divide-y">
        {sheet.headers.map((header, column) => {
          const target = mapping[column];
          const samples = sheet.rows
            .slice(0, SAMPLES)
            .map(({ cells }) => cells[column] ?? "")
            .filter((cell) => cell !== "");
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: columns may have the same header
            <div key={column} className="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-2">
              <div className="min-w-0 flex-1 basis-40">
                <div className="truncate font-medium">{header || `Column ${column + 1}`}</div>
                <div className="truncate text-sm text-ink-3">{samples.join(" · ")}</div>
              </div>
              <Choose
                label={`${header} becomes`}
                none="Not imported"
                className="w-60"
                value={target === undefined ? "" : `${target.entity}.${target.field}`}
                options={options}
                onChange={(value) => change(column, value)}
              />
            </div>
          );
        })}
      </fieldset>
    </Card>
  );
}
