/** A field of a record that is edited where it stands: click or Enter, type, Enter or go elsewhere. Escape leaves it as it was. */

import type { Fields, Json } from "@syncline/sdk";
import { Pencil } from "lucide-react";
import { type FocusEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { cx } from "../../components/cx.ts";
import { attempt, toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { type EntityName, useClient, useLive } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { entityOf, fieldOf, labelOf } from "../../data/schema.ts";
import { FieldInput } from "./FieldInput.tsx";
import { foreseen } from "./foreseen.ts";
import { EditingWarning } from "./presence.tsx";
import { useTitleOf } from "./useTitleOf.ts";
import { inputText, isMoney, shownValue, typedValue, valueError } from "./value.ts";

interface EditableProps {
  readonly entity: EntityName;
  readonly id: string;
  readonly name: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly label?: string;
}

export function EditableField({ entity, id, name, fields, label = labelOf(name) }: EditableProps) {
  const [isEditing, setIsEditing] = useState(false);
  const titleOf = useTitleOf();
  const button = useRef<HTMLButtonElement>(null);
  const value = fields[name] as Json | undefined;
  const defaultCurrency = useLive("workspaces").rows[0]?.fields.default_currency;
  // An amount is one with its currency: the first one of a record brings that of the workspace.
  const isUnpriced = isMoney(name) && entityOf(entity).fields.has("currency") && fields.currency === undefined;
  const currency = isMoney(name) ? (fields.currency as string | undefined) : undefined;
  const shown = shownValue(entity, name, value, { titleOf, currency });
  const canEdit = useMay()("update", entity, name) && !["json"].includes(fieldOf(entity, name).kind.type);
  const stop = (next: "stay" | "elsewhere"): void => {
    setIsEditing(false);
    if (next === "stay") {
      requestAnimationFrame(() => button.current?.focus());
    }
  };
  return (
    <div className="grid grid-cols-[8.5rem_minmax(0,1fr)] items-start gap-x-3 py-0.5">
      <span className="truncate py-1.5 text-ink-3">{label}</span>
      {isEditing ? (
        <FieldEditor
          entity={entity}
          id={id}
          name={name}
          value={value}
          shown={shown}
          current={fields as Fields}
          label={label}
          onDone={stop}
          beside={isUnpriced && defaultCurrency !== undefined ? { currency: defaultCurrency } : {}}
        />
      ) : canEdit ? (
        <button
          ref={button}
          type="button"
          aria-label={shown === "" ? `${label}: empty. Add` : `${label}: ${shown}. Edit`}
          onClick={() => setIsEditing(true)}
          className="group -mx-2 flex min-h-8.5 items-center gap-2 rounded-lg px-2 py-1 text-left hover:bg-hover"
        >
          <span className={cx("min-w-0 flex-1 break-words whitespace-pre-line", shown === "" && "text-ink-3")}>
            {shown || "Add"}
          </span>
          <Pencil
            aria-hidden="true"
            className="size-3.5 shrink-0 text-ink-3 opacity-0 group-hover:opacity-100 group-focus-visible:opacity-100"
          />
        </button>
      ) : (
        <span className={cx("min-h-8.5 py-1.5 break-words whitespace-pre-line", shown === "" && "text-ink-3")}>
          {shown || "—"}
        </span>
      )}
    </div>
  );
}

interface EditorProps {
  readonly entity: EntityName;
  readonly id: string;
  readonly name: string;
  readonly value: Json | undefined;
  /** The value as people read it. */
  readonly shown: string;
  /** The record as it is. */
  readonly current: Fields;
  readonly label: string;
  /** Values that are saved with one that is not empty. */
  readonly beside: Fields;
  /** `elsewhere`: the person has gone to something else already, and the focus stays there. */
  readonly onDone: (next: "stay" | "elsewhere") => void;
}

/** Fields of one choice are saved with the choice; the others with Enter, a click elsewhere or the button. */
function FieldEditor({ entity, id, name, value, shown, current, label, beside, onDone }: EditorProps) {
  const client = useClient();
  const inputId = useId();
  const errorId = useId();
  const box = useRef<HTMLDivElement>(null);
  const [opened] = useState(() => inputText(entity, name, value));
  const held = inputText(entity, name, value);
  const [text, setText] = useState(opened);
  const [error, setError] = useState<string>();
  const [isBusy, once] = useBusy();
  /** It has another value than when it was opened, and not by this editor: who wants to replace that says so. */
  const isChanged = held !== opened && !isBusy;
  /** Saved or left: what the browser still says about the input does not count any more. */
  const isOver = useRef(false);
  const done = (next: "stay" | "elsewhere" = "stay"): void => {
    isOver.current = true;
    onDone(next);
  };
  const { kind } = fieldOf(entity, name);
  const isLong = kind.type === "text" && kind.maxLength > 600;
  useEffect(() => {
    box.current?.querySelector<HTMLElement>("input, select, textarea")?.focus();
  }, []);
  const save = async (typed: string, next: "stay" | "elsewhere" = "stay"): Promise<void> => {
    if (typed === opened || typed === held) {
      done(next);
      return;
    }
    const wanted = typedValue(entity, name, typed);
    const wrong = valueError(entity, name, wanted);
    if (wrong !== undefined) {
      setError(wrong);
      return;
    }
    const warned = (await foreseen(client, entity, { [name]: wanted }, current))[name];
    // Said once: the copy of this device may be behind, and the person knows better.
    if (warned !== undefined && warned !== error) {
      setError(warned);
      return;
    }
    const saved = await client.mutate([
      { edit: "update", entity, id, fields: { [name]: wanted, ...(wanted !== null && beside) } },
    ]);
    if (!saved.ok) {
      setError(saved.error.message);
      return;
    }
    done(next);
    toast(`${label} saved`, {
      action: {
        label: "Undo",
        run: () => attempt(client.mutate([{ edit: "update", entity, id, fields: { [name]: value ?? null } }])),
      },
    });
  };
  const isOneChoice =
    kind.type === "choice" || kind.type === "boolean" || fieldOf(entity, name).references !== undefined;
  const onText = (typed: string): void => {
    setText(typed);
    setError(undefined);
    if (isOneChoice) {
      once(() => save(typed));
    }
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "Escape") {
      event.stopPropagation();
      done();
    } else if (event.key === "Enter" && (!isLong || event.metaKey || event.ctrlKey) && !isOneChoice) {
      event.preventDefault();
      once(() => save(text));
    }
  };
  const onBlur = ({ relatedTarget }: FocusEvent): void => {
    const isInside = relatedTarget instanceof Node && box.current?.contains(relatedTarget) === true;
    // What is wrong with it was said: the person looks at it before it is saved.
    const isSure = error === undefined && (!isChanged || text === opened);
    if (!isInside && !isOver.current && !isOneChoice && isSure) {
      once(() => save(text, "elsewhere"));
    }
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: keys of the input inside
    <div ref={box} onKeyDown={onKeyDown} onBlur={onBlur} className="flex flex-col gap-1.5">
      <label htmlFor={inputId} className="sr-only">
        {label}
      </label>
      <FieldInput
        id={inputId}
        entity={entity}
        name={name}
        text={text}
        onText={onText}
        {...(typeof value === "string" && { stored: value })}
        isInvalid={error !== undefined}
        {...(error !== undefined && { describedBy: errorId })}
      />
      {error !== undefined && (
        <p id={errorId} role="alert" className="text-bad">
          {error}
        </p>
      )}
      {isChanged && (
        <p role="status" className="text-warn">
          {shown === "" ? "This was emptied meanwhile." : `This was changed meanwhile to “${shown}”.`}
        </p>
      )}
      <EditingWarning />
      <div className="flex gap-1.5">
        {!isOneChoice && (
          <Button tone="primary" disabled={isBusy} onClick={() => once(() => save(text))}>
            {isChanged && text !== opened ? "Replace it" : "Save"}
          </Button>
        )}
        {/* Some browsers give a clicked button no focus: the input's own must not end first, and save. */}
        <Button tone="quiet" onMouseDown={(event) => event.preventDefault()} onClick={() => done()}>
          Cancel
        </Button>
      </div>
    </div>
  );
}
