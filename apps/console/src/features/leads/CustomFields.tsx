import { Plus } from "lucide-react";
import { useId, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { cx } from "../../components/cx.ts";
import { Dialog } from "../../components/Dialog.tsx";
import { Form, TextField } from "../../components/Form.tsx";
import { Card } from "../../components/Page.tsx";
import { toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { sentence } from "../../format/text.ts";

type Definition = Row<"custom_field_definitions">;
type FieldType = NonNullable<Definition["fields"]["field_type"]>;

/** Fields the customer added, with their values for one lead. */
export function CustomFields({ leadId }: { leadId: string }) {
  const definitions = useLive("custom_field_definitions", { where: { context: "lead" }, sort: "position" }).rows;
  const values = useLive("lead_custom_fields", { where: { lead_id: leadId } }).rows;
  const may = useMay();
  const canDefine = may("create", "custom_field_definitions");
  const [isAdding, setIsAdding] = useState(false);
  const known = new Set(definitions.map(({ fields }) => fields.name));
  const others = values.filter(({ fields }) => !known.has(fields.field_name));
  if (definitions.length === 0 && others.length === 0 && !canDefine) {
    return null;
  }
  return (
    <Card
      title="Custom fields"
      actions={
        canDefine && (
          <Button
            tone="quiet"
            aria-label="Add a custom field"
            icon={<Plus className="size-4" />}
            onClick={() => setIsAdding(true)}
          />
        )
      }
    >
      <div className="flex flex-col gap-1 px-4 py-2.5">
        {definitions.length + others.length === 0 && (
          <p className="py-2 text-ink-3">None yet. Add one for all leads.</p>
        )}
        {definitions.map(({ id, fields }) => (
          <CustomField
            key={id}
            leadId={leadId}
            name={fields.name ?? ""}
            label={fields.label ?? sentence(fields.name ?? "")}
            type={fields.field_type ?? "text"}
            options={optionsOf(fields.options)}
            value={values.find((value) => value.fields.field_name === fields.name)}
          />
        ))}
        {others.map((value) => (
          <CustomField
            key={value.id}
            leadId={leadId}
            name={value.fields.field_name ?? ""}
            label={sentence(value.fields.field_name ?? "")}
            type="text"
            options={[]}
            value={value}
          />
        ))}
      </div>
      <Dialog
        isOpen={isAdding}
        onClose={() => setIsAdding(false)}
        title="Add a custom field"
        description="Every lead has it from then on."
      >
        <NewDefinition onClose={() => setIsAdding(false)} />
      </Dialog>
    </Card>
  );
}

function optionsOf(options: unknown): readonly string[] {
  const items = Array.isArray(options) ? (options as { value?: string }[]) : [];
  return items.flatMap(({ value }) => (typeof value === "string" ? [value] : []));
}

interface CustomFieldProps {
  readonly leadId: string;
  readonly name: string;
  readonly label: string;
  readonly type: FieldType;
  readonly options: readonly string[];
  readonly value: Row<"lead_custom_fields"> | undefined;
}

const INPUTS: Readonly<Partial<Record<FieldType, string>>> = {
  number: "number",
  currency: "number",
  date: "date",
  datetime: "datetime-local",
  phone: "tel",
  email: "email",
  url: "url",
};

function CustomField({ leadId, name, label, type, options, value }: CustomFieldProps) {
  const client = useClient();
  const id = useId();
  const held = value?.fields.field_value ?? "";
  const [text, setText] = useState<string>();
  const [, once] = useBusy();
  const canEdit = useMay()(value === undefined ? "create" : "update", "lead_custom_fields", "field_value");
  /** What was typed stays until it is saved. */
  const save = async (typed: string): Promise<void> => {
    if (typed === held) {
      setText(undefined);
      return;
    }
    const saved =
      value === undefined
        ? await client.db.lead_custom_fields.create({
            lead_id: leadId,
            field_name: name,
            field_type: type,
            field_value: typed,
          })
        : await client.db.lead_custom_fields.update(value.id, { field_value: typed === "" ? null : typed });
    toast(saved.ok ? `${label} saved` : saved.error.message);
    if (saved.ok) {
      setText((now) => (now === typed ? undefined : now));
    }
  };
  if (!canEdit) {
    return (
      <div className="grid grid-cols-[8.5rem_minmax(0,1fr)] items-start gap-x-3 py-0.5">
        <span className="truncate py-1.5 text-ink-3">{label}</span>
        <span className={cx("min-h-8.5 py-1.5 break-words", held === "" && "text-ink-3")}>{held || "—"}</span>
      </div>
    );
  }
  const isChoice = type === "boolean" || (type === "select" && options.length > 0);
  const choices = type === "boolean" ? ["yes", "no"] : options;
  return (
    <div className="grid grid-cols-[8.5rem_minmax(0,1fr)] items-center gap-x-3">
      <label htmlFor={id} className="truncate text-ink-3">
        {label}
      </label>
      {isChoice ? (
        <select id={id} className="control" value={held} onChange={({ target }) => once(() => save(target.value))}>
          <option value="">None</option>
          {choices.map((choice) => (
            <option key={choice} value={choice}>
              {sentence(choice)}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          type={INPUTS[type] ?? "text"}
          className="control"
          value={text ?? held}
          onChange={(event) => setText(event.target.value)}
          onBlur={() => text !== undefined && once(() => save(text))}
          onKeyDown={(event) => event.key === "Enter" && text !== undefined && once(() => save(text))}
        />
      )}
    </div>
  );
}

const TYPES: readonly FieldType[] = [
  "text",
  "number",
  "currency",
  "date",
  "boolean",
  "select",
  "email",
  "phone",
  "url",
];

function NewDefinition({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const [label, setLabel] = useState("");
  const [type, setType] = useState<FieldType>("text");
  const [choices, setChoices] = useState("");
  const add = async (): Promise<string | undefined> => {
    const name = label
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, "_");
    const options = choices
      .split(",")
      .map((choice) => choice.trim())
      .filter((choice) => choice !== "")
      .map((value, order) => ({ value, label: value, order }));
    const saved = await client.db.custom_field_definitions.create({
      context: "lead",
      name,
      label: label.trim(),
      field_type: type,
      ...(options.length > 0 && { options }),
    });
    if (saved.ok) {
      onClose();
    }
    return saved.ok ? "" : saved.error.message;
  };
  return (
    <Form deed="Add field" onSubmit={add} onClose={onClose}>
      <TextField label="Name" required maxLength={120} text={label} onText={setLabel} />
      <div className="flex flex-col gap-1">
        <span className="font-medium">Holds</span>
        <Choose
          label="Holds"
          className="w-full"
          value={type}
          options={TYPES.map((value) => ({ value, label: sentence(value) }))}
          onChange={(value) => setType(value as FieldType)}
        />
      </div>
      {type === "select" && (
        <TextField label="Choices" required placeholder="Separated by commas" text={choices} onText={setChoices} />
      )}
    </Form>
  );
}
