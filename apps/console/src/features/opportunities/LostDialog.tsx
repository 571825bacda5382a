import { useState } from "react";
import { Dialog } from "../../components/Dialog.tsx";
import { Form } from "../../components/Form.tsx";
import { toast } from "../../components/toast.tsx";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { isChoosable } from "../record/choosable.ts";
import { FormField } from "../record/FormField.tsx";
import { placedError, typedValue, valueErrors } from "../record/value.ts";

const ENTITY = "opportunities";

interface LostProps {
  readonly deal: Row<"opportunities">;
  /** The stage that the deal goes to; absent: nothing is asked. */
  readonly stage: Row<"pipeline_stages"> | undefined;
  readonly onClose: () => void;
}

/** Asks why a deal was lost before it is: the server accepts no loss without a reason or a note. */
export function LostDialog({ deal, stage, onClose }: LostProps) {
  return (
    <Dialog
      isOpen={stage !== undefined}
      onClose={onClose}
      title="Why was it lost?"
      description={deal.fields.name ?? "Untitled"}
    >
      {stage !== undefined && <LostForm deal={deal} stage={stage} onClose={onClose} />}
    </Dialog>
  );
}

function LostForm({ deal: { id, fields }, stage, onClose }: LostProps & { stage: Row<"pipeline_stages"> }) {
  const client = useClient();
  const options = useLive("status_options").rows;
  const [texts, setTexts] = useState<Readonly<Record<string, string>>>({
    lost_reason_id: fields.lost_reason_id ?? "",
    lost_notes: fields.lost_notes ?? "",
  });
  const [errors, setErrors] = useState<Readonly<Record<string, string>>>({});
  const hasReasons = options.some((option) => isChoosable(ENTITY, "lost_reason_id", option.fields));
  const names = hasReasons ? ["lost_reason_id", "lost_notes"] : ["lost_notes"];
  const submit = async (): Promise<string | undefined> => {
    const why = Object.fromEntries(
      names.map((name) => [name, typedValue(ENTITY, name, (texts[name] ?? "").trim())] as const),
    );
    const wrong = valueErrors(ENTITY, why);
    setErrors(wrong);
    if (Object.keys(wrong).length > 0) {
      return undefined;
    }
    if (Object.values(why).every((value) => value === null)) {
      return hasReasons ? "Choose a reason or write a note." : "Write a note.";
    }
    const saved = await client.db.opportunities.update(id, {
      stage_id: stage.id,
      probability: stage.fields.probability ?? null,
      ...why,
    });
    if (!saved.ok) {
      const { atFields, ofForm } = placedError(saved.error);
      setErrors(atFields);
      return ofForm;
    }
    onClose();
    toast("Stage saved");
    return undefined;
  };
  return (
    <Form deed={`Move to ${stage.fields.name}`} isChecked onSubmit={submit} onClose={onClose}>
      {names.map((name, place) => (
        <FormField
          key={name}
          entity={ENTITY}
          name={name}
          text={texts[name] ?? ""}
          onText={(text) => setTexts((held) => ({ ...held, [name]: text }))}
          error={errors[name]}
          isFocused={place === 0}
        />
      ))}
    </Form>
  );
}
