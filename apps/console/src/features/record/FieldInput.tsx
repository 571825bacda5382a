/** The input that fits a field of the schema. */

import type { EntityName } from "../../data/live.ts";
import { entityOf, fieldOf, formatOf, labelOf, transitionsFrom } from "../../data/schema.ts";
import { sentence } from "../../format/text.ts";
import { ReferenceInput } from "./ReferenceInput.tsx";

export interface FieldInputProps {
  readonly id: string;
  readonly entity: string;
  readonly name: string;
  /** As typed; see `inputText`. */
  readonly text: string;
  readonly onText: (text: string) => void;
  /** The value that is stored, when the record is there: states go only where transitions lead. */
  readonly stored?: string;
  readonly isInvalid?: boolean;
  readonly describedBy?: string;
  readonly isFocused?: boolean;
  /** The record needs it, and the form has another way to get it. */
  readonly isOptional?: boolean;
}

const INPUT_TYPES: Readonly<Record<string, string>> = { email: "email", phone: "tel", url: "url", https_url: "url" };
/** Texts that may be longer get several lines. */
const LINE_MAX = 600;

export function FieldInput(props: FieldInputProps) {
  const { id, entity, name, text, onText, isInvalid = false, describedBy, isFocused = false } = props;
  const field = fieldOf(entity, name);
  const isRequired = field.isRequired && props.isOptional !== true;
  const common = {
    id,
    "aria-invalid": isInvalid,
    "aria-describedby": describedBy,
    "aria-required": isRequired,
    autoFocus: isFocused,
    className: "control",
  };
  if (field.references !== undefined && entityOf(field.references) !== undefined) {
    return <ReferenceInput {...props} of={field.references as EntityName} isRequired={isRequired} />;
  }
  switch (field.kind.type) {
    case "choice": {
      const allowed = (props.stored !== undefined && transitionsFrom(entity, name, props.stored)) || field.kind.choices;
      return (
        <select {...common} value={text} onChange={(event) => onText(event.target.value)}>
          {(!isRequired || text === "") && <option value="">None</option>}
          {allowed.map((choice) => (
            <option key={choice} value={choice}>
              {sentence(choice)}
            </option>
          ))}
        </select>
      );
    }
    case "boolean":
      return (
        <select {...common} value={text} onChange={(event) => onText(event.target.value)}>
          <option value="">Not set</option>
          <option value="true">Yes</option>
          <option value="false">No</option>
        </select>
      );
    case "date":
      return <input {...common} type="date" value={text} onChange={(event) => onText(event.target.value)} />;
    case "timestamp":
      return <input {...common} type="datetime-local" value={text} onChange={(event) => onText(event.target.value)} />;
    case "integer":
    case "decimal":
    case "counter":
      return <input {...common} inputMode="decimal" value={text} onChange={(event) => onText(event.target.value)} />;
    case "set":
      return (
        <input
          {...common}
          value={text}
          placeholder="Separated by commas"
          onChange={(event) => onText(event.target.value)}
        />
      );
    case "text":
      return field.kind.maxLength > LINE_MAX && formatOf(entity, name) === undefined ? (
        <textarea {...common} rows={4} value={text} onChange={(event) => onText(event.target.value)} />
      ) : (
        <input
          {...common}
          type={INPUT_TYPES[formatOf(entity, name) ?? ""] ?? "text"}
          value={text}
          onChange={(event) => onText(event.target.value)}
        />
      );
    case "json":
    case "uuid":
      return <input {...common} aria-label={labelOf(name)} value={text} disabled />;
  }
}
