/** Forms that make one thing: fields with their labels, what went wrong, and the two buttons at their end. */

import { Copy } from "lucide-react";
import { type FormEvent, type InputHTMLAttributes, type ReactNode, useId, useState } from "react";
import { Button } from "./Button.tsx";
import { attempt } from "./toast.tsx";
import { useBusy } from "./useBusy.ts";

interface FormProps {
  /** What the button says: the deed. */
  readonly deed: ReactNode;
  readonly icon?: ReactNode;
  /** Does it, and returns why it could not; nothing: it is done, or what is wrong stands at the fields. */
  readonly onSubmit: () => Promise<string | undefined>;
  readonly onClose: () => void;
  /** What is wrong that no field is shown for, beside what `onSubmit` returned. */
  readonly errors?: readonly string[];
  /** There is nothing to do yet. */
  readonly isDisabled?: boolean;
  /** `onSubmit` says itself what is wrong with which field: the browser does not. */
  readonly isChecked?: boolean;
  readonly children: ReactNode;
}

/** A form with what went wrong and the two buttons at its end. Sent twice it is done once. */
export function Form(props: FormProps) {
  const { deed, icon, onSubmit, onClose, errors = [], isDisabled = false, isChecked = false, children } = props;
  const [failure, setFailure] = useState<string>();
  const [isBusy, once] = useBusy();
  const alerts = [...errors, ...(failure === undefined ? [] : [failure])];
  return (
    <form
      noValidate={isChecked}
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        once(async () => setFailure(await onSubmit()));
      }}
      className="flex flex-col gap-4"
    >
      {children}
      {alerts.map((text) => (
        <p key={text} role="alert" className="text-bad">
          {text}
        </p>
      ))}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" tone="primary" icon={icon} disabled={isBusy || isDisabled}>
          {deed}
        </Button>
      </div>
    </form>
  );
}

interface TextFieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "id" | "value" | "onChange"> {
  readonly label: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  /** Said below it, for who does not know. */
  readonly hint?: string;
}

/** A line to type into, below its label. */
export function TextField({ label, text, onText, hint, ...input }: TextFieldProps) {
  const [id, hintId] = [useId(), useId()];
  return (
    <div className="flex flex-col gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      <input
        {...input}
        id={id}
        className="control"
        value={text}
        onChange={({ target }) => onText(target.value)}
        {...(hint !== undefined && { "aria-describedby": hintId })}
      />
      {hint !== undefined && (
        <p id={hintId} className="text-sm text-ink-3">
          {hint}
        </p>
      )}
    </div>
  );
}

interface ShownOnceProps {
  /** What it is and what it is for. */
  readonly children: ReactNode;
  /** "the secret", for who copies it. */
  readonly what: string;
  readonly text: string;
  readonly onClose: () => void;
}

/** A secret or a password that nobody can look up later. */
export function ShownOnce({ children, what, text, onClose }: ShownOnceProps) {
  return (
    <div className="flex flex-col gap-4">
      <p>{children}</p>
      <div className="flex items-center gap-2">
        <code className="control flex items-center overflow-x-auto font-mono">{text}</code>
        <Button
          aria-label={`Copy ${what}`}
          icon={<Copy className="size-4" />}
          onClick={() => attempt(navigator.clipboard.writeText(text))}
        />
      </div>
      <Button tone="primary" className="self-end" onClick={onClose}>
        Done
      </Button>
    </div>
  );
}
