/** Forms that make one thing: fields with their labels, what went wrong, and the two buttons at their end. */

import { Copy } from "lucide-react";
import { type FormEvent, type InputHTMLAttributes, type ReactNode, useId, useState } from "react";
import { Button } from "./Button.tsx";
import { attempt } from "./toast.tsx";
import { useBusy } from "./useBusy.ts";

interface FormProps {
  /** What the button says: the deed. */
  readonly deed: string;
  /** Does it, and returns why it could not; empty: it is done. */
  readonly onSubmit: () => Promise<string>;
  readonly onClose: () => void;
  readonly children: ReactNode;
}

/** A form in a dialog. Sent twice it is done once. */
export function Form({ deed, onSubmit, onClose, children }: FormProps) {
  const [error, setError] = useState("");
  const [isBusy, once] = useBusy();
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        once(async () => setError(await onSubmit()));
      }}
      className="flex flex-col gap-4"
    >
      {children}
      {error !== "" && (
        <p role="alert" className="text-bad">
          {error}
        </p>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" tone="primary" disabled={isBusy}>
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
