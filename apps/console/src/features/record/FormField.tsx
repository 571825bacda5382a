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
  isFocused = false,
}: FormFieldProps) {
  const id = useId();
  const errorId = useId();
  return (
    <div className="flex min-w-0 flex-col gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
        {fieldOf(entity, name).isRequired && (
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
      />
      {error !== undefined && (
        <p id={errorId} role="alert" className="text-xs text-bad">
          {error}
        </p>
      )}
    </div>
  );
}
