import { useId } from "react";
import { fieldOf, labelOf } from "../../data/schema.ts";
import { FieldInput } from "./FieldInput.tsx";

interface FormFieldProps {
  readonly entity: string;
  readonly name: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  readonly error?: string | undefined;
  readonly label?: string;
  /** The record needs it, and the form has another way to get it. */
  readonly isOptional?: boolean;
  readonly isFocused?: boolean;
}

/** A field of a form with its label and what is wrong with it. */
export function FormField({
  entity,
  name,
  text,
  onText,
  error,
  label = labelOf(name),
  isOptional = false,
  isFocused = false,
}: FormFieldProps) {
  const id = useId();
  const errorId = useId();
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
        {fieldOf(entity, name).isRequired && !isOptional && (
          <span aria-hidden="true" className="text-bad">
            {" "}
            *
          </span>
        )}
      </label>
      <FieldInput
        id={id}
        entity={entity}
        name={name}
        text={text}
        onText={onText}
        isInvalid={error !== undefined}
        {...(error !== undefined && { describedBy: errorId })}
        isFocused={isFocused}
        isOptional={isOptional}
      />
      {error !== undefined && (
        <p id={errorId} role="alert" className="text-xs text-bad">
          {error}
        </p>
      )}
    </div>
  );
}
