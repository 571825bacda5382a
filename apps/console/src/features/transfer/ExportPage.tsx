import { Download } from "lucide-react";
import { useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { Card, Page } from "../../components/Page.tsx";
import { toast } from "../../components/toast.tsx";
import { type EntityName, useClient } from "../../data/live.ts";
import { entityOf, labelOf, nounOf } from "../../data/schema.ts";
import { download } from "../../format/download.ts";
import { counted, sentence } from "../../format/text.ts";
import { useTitleOf } from "../record/useTitleOf.ts";
import { writeCsv } from "./files.ts";

const ENTITIES: readonly EntityName[] = ["leads", "contacts", "companies", "opportunities", "tasks"];

/** Writes what this device has, as it is at this moment, with what waits to be sent. */
export function ExportPage() {
  const client = useClient();
  const titleOf = useTitleOf();
  const [entity, setEntity] = useState<EntityName>("leads");
  const [format, setFormat] = useState<"csv" | "json">("csv");
  const save = async (): Promise<void> => {
    const rows = await client.select(entity, {});
    const name = `${entity}-${new Date().toISOString().slice(0, 10)}.${format}`;
    if (format === "json") {
      download(
        name,
        "application/json",
        JSON.stringify(
          rows.map(({ id, fields }) => ({ id, ...fields })),
          null,
          2,
        ),
      );
    } else {
      const fields = [...entityOf(entity).fields.values()];
      const cell = (value: unknown, references: string | undefined): string => {
        if (value === undefined || value === null) {
          return "";
        }
        return references === undefined
          ? Array.isArray(value)
            ? value.join(", ")
            : typeof value === "object"
              ? JSON.stringify(value)
              : String(value)
          : (titleOf(references, String(value)) ?? String(value));
      };
      const cells = rows.map((row) => fields.map(({ name: field, references }) => cell(row.fields[field], references)));
      download(
        name,
        "text/csv",
        writeCsv(
          fields.map(({ name: field }) => labelOf(field)),
          cells,
        ),
      );
    }
    toast(`${counted(rows.length, nounOf(entity), nounOf(entity, 2))} written to ${name}`);
  };
  return (
    <Page title="Export">
      <div className="max-w-2xl">
        <Card title="What this device has">
          <div className="flex flex-wrap items-end gap-3 p-4">
            <Choose
              label="Records"
              value={entity}
              options={ENTITIES.map((value) => ({ value, label: sentence(value) }))}
              onChange={(value) => setEntity(value as EntityName)}
            />
            <Choose
              label="Format"
              className="w-auto"
              value={format}
              options={[
                { value: "csv", label: "CSV, for spreadsheets" },
                { value: "json", label: "JSON, exact" },
              ]}
              onChange={(value) => setFormat(value as "csv" | "json")}
            />
            <Button tone="primary" icon={<Download className="size-4" />} onClick={() => void save()}>
              Save file
            </Button>
          </div>
          <p className="border-t px-4 py-3 text-sm text-ink-2">
            Works without a network. In CSV, references are written as names, and cells that a spreadsheet would run as
            a formula are made harmless.
          </p>
        </Card>
      </div>
    </Page>
  );
}
