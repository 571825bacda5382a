import type { Json } from "@syncline/sdk";
import { type ReactNode, useState } from "react";
import { Dialog } from "../../components/Dialog.tsx";
import { Form } from "../../components/Form.tsx";
import { toast } from "../../components/toast.tsx";
import { type EntityName, useClient } from "../../data/live.ts";
import { nounOf } from "../../data/schema.ts";
import { FormField } from "./FormField.tsx";
import { foreseen } from "./foreseen.ts";
import { useDraft } from "./useDraft.ts";
import { createErrors, placedError, typedValue } from "./value.ts";

type Texts = Readonly<Record<string, string>>;

interface CreateProps {
  readonly entity: EntityName;
  readonly names: readonly string[];
  readonly isOpen: boolean;
  readonly onClose: () => void;
  /** As typed, for fields the person has not touched. */
  readonly defaults?: Texts;
  /** Values that are not asked for, and corrections of those that are. */
  readonly complete?: (values: Readonly<Record<string, Json>>) => Readonly<Record<string, Json>>;
  /** What is wrong with the values although the schema takes them, by field. */
  readonly check?: (values: Readonly<Record<string, Json>>) => Texts;
  /** What to say about what was typed so far. */
  readonly hint?: (texts: Texts) => ReactNode;
  readonly onCreated?: (id: string) => void;
}

/** A form for a new record: every field is checked by the schema, on this device. */
export function CreateDialog(props: CreateProps) {
  const noun = nounOf(props.entity);
  return (
    <Dialog
      isOpen={props.isOpen}
      onClose={props.onClose}
      title={`New ${noun}`}
      description="Saved on this device at once, with or without a network."
      isWide={props.names.length > 5}
    >
      <CreateForm {...props} />
    </Dialog>
  );
}

function CreateForm({
  entity,
  names,
  onClose,
  defaults = {},
  complete = (values) => values,
  check = () => ({}),
  hint,
  onCreated,
}: CreateProps) {
  const client = useClient();
  const [texts, setTexts, forget] = useDraft<Texts>(`new ${entity}`, {});
  const [errors, setErrors] = useState<Texts>({});
  const [warnings, setWarnings] = useState<Texts>({});
  const text = (name: string): string => texts[name] ?? defaults[name] ?? "";
  const submit = async (): Promise<string | undefined> => {
    const typed = names.map((name) => [name, typedValue(entity, name, text(name))] as const);
    const isEmpty = (value: Json): boolean => value === null || (Array.isArray(value) && value.length === 0);
    const values = complete(Object.fromEntries(typed.filter(([, value]) => !isEmpty(value))));
    const wrong = { ...createErrors(entity, values), ...check(values) };
    setErrors(wrong);
    if (Object.keys(wrong).length > 0) {
      return undefined;
    }
    const warned = await foreseen(client, entity, values);
    // Said once: the copy of this device may be behind, and the person knows better.
    if (Object.keys(warned).some((name) => warnings[name] !== warned[name])) {
      setWarnings(warned);
      return undefined;
    }
    const id = client.mintId();
    const saved = await client.mutate([{ edit: "create", entity, id, fields: values }]);
    if (!saved.ok) {
      const { atFields, ofForm } = placedError(saved.error);
      setErrors(atFields);
      return ofForm;
    }
    forget();
    onClose();
    toast(`${nounOf(entity).charAt(0).toUpperCase()}${nounOf(entity).slice(1)} added`, {
      ...(onCreated !== undefined && { action: { label: "Open", run: () => onCreated(id) } }),
    });
    return undefined;
  };
  const cancel = (): void => {
    forget();
    onClose();
  };
  const others = Object.keys(errors).flatMap((name) => (names.includes(name) ? [] : (errors[name] ?? [])));
  return (
    <Form
      deed={Object.keys(warnings).length > 0 ? "Add it all the same" : `Add ${nounOf(entity)}`}
      isChecked
      onSubmit={submit}
      onClose={cancel}
      errors={others}
    >
      <div className={names.length > 5 ? "grid grid-cols-1 gap-3 sm:grid-cols-2" : "flex flex-col gap-3"}>
        {names.map((name, place) => (
          <FormField
            key={name}
            entity={entity}
            name={name}
            text={text(name)}
            onText={(typed) => setTexts((held) => ({ ...held, [name]: typed }))}
            error={errors[name] ?? warnings[name]}
            isFocused={place === 0}
          />
        ))}
      </div>
      {hint?.(texts)}
    </Form>
  );
}
