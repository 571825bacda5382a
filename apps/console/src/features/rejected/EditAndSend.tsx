import type { Json } from "@syncline/sdk";
import { Send } from "lucide-react";
import { useState } from "react";
import { Form } from "../../components/Form.tsx";
import { toast } from "../../components/toast.tsx";
import { type EntityName, useClient, useRecord } from "../../data/live.ts";
import { nounOf } from "../../data/schema.ts";
import { FormField } from "../record/FormField.tsx";
import { inputText, placedError, typedValue, valueErrors } from "../record/value.ts";
import { offeredFields } from "./offered.ts";

interface EditProps {
  readonly entity: EntityName;
  readonly id: string;
  readonly values: Readonly<Record<string, Json>>;
  /** Why it was rejected, in the server's words. */
  readonly reason: string;
  readonly isNew: boolean;
  readonly clientSeq: number;
  readonly onDone: () => void;
}

/** A rejected change with its values, and with the fields that it may lack. What is not touched goes as it was. */
export function EditAndSend({ entity, id, values, reason, isNew, clientSeq, onDone }: EditProps) {
  const client = useClient();
  const record = useRecord(entity, id);
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({});
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const { own, others } = offeredFields(entity, Object.keys(values), reason, isNew ? "create" : "update");
  const before: Readonly<Record<string, Json | undefined>> = { ...(record?.fields as object | undefined), ...values };
  const submit = async (): Promise<string | undefined> => {
    const changes = Object.fromEntries(
      Object.entries(texts).map(([name, text]) => [name, typedValue(entity, name, text)]),
    );
    const wrong = valueErrors(entity, changes);
    setErrors(wrong);
    if (Object.keys(wrong).length > 0) {
      return undefined;
    }
    const sent = await client.resendRejected(clientSeq, changes);
    if (!sent.ok) {
      const { atFields, ofForm } = placedError(sent.error);
      setErrors(atFields);
      return ofForm;
    }
    onDone();
    toast("Sent again");
    return undefined;
  };
  const inputs = (names: readonly string[]) => (
    <div className="grid grid-cols-1 gap-3 sm:grid-cols-2">
      {names.map((name) => (
        <FormField
          key={name}
          entity={entity}
          name={name}
          text={texts[name] ?? inputText(entity, name, before[name])}
          onText={(text) => setTexts((held) => ({ ...held, [name]: text }))}
          error={errors[name]}
        />
      ))}
    </div>
  );
  return (
    <div className="mt-3">
      <Form deed="Send" icon={<Send className="size-4" />} isChecked onSubmit={submit} onClose={onDone}>
        {inputs(own)}
        {others.length > 0 && (
          <section className="flex flex-col gap-3 border-t pt-4">
            <h3 className="font-semibold">What else the {nounOf(entity)} says</h3>
            {inputs(others)}
          </section>
        )}
      </Form>
    </div>
  );
}
