import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Dialog } from "../../components/Dialog.tsx";
import { Form } from "../../components/Form.tsx";
import { toast } from "../../components/toast.tsx";
import { useClient, useLive } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { WHO_FIELDS, whoErrors } from "../contacts/who.ts";
import { FormField } from "../record/FormField.tsx";
import { contactName } from "../record/titles.ts";
import { useDraft } from "../record/useDraft.ts";
import { createErrors, placedError, typedValue } from "../record/value.ts";
import { ContactIndex, type Match } from "./duplicates.ts";

const LEAD_FIELDS = [
  "product_interest",
  "status_option_id",
  "estimated_value",
  "currency",
  "priority",
  "owner_id",
  "expected_close_date",
] as const;

/** The contact that was chosen, among what was typed. */
const KNOWN = "contact_id";

type Texts = Readonly<Record<string, string>>;

/** A lead and the person it is about, in one mutation: both are there or neither is. */
export function NewLead({ isOpen, onClose }: { isOpen: boolean; onClose: () => void }) {
  return (
    <Dialog
      isOpen={isOpen}
      onClose={onClose}
      title="New lead"
      description="Saved on this device at once, with or without a network."
      isWide
    >
      <NewLeadForm onClose={onClose} />
    </Dialog>
  );
}

function NewLeadForm({ onClose }: { onClose: () => void }) {
  const client = useClient();
  const navigate = useNavigate();
  const { userId } = useMe();
  const contacts = useLive("contacts").rows;
  const statuses = useLive("status_options", { where: { category: "lead" }, sort: "position" }).rows;
  const currency = useLive("workspaces").rows[0]?.fields.default_currency ?? "EUR";
  const index = useMemo(() => new ContactIndex(contacts), [contacts]);
  const [texts, setTexts, forget] = useDraft<Texts>("new lead", {});
  const contactId = texts[KNOWN] ?? "";
  const setContactId = (id: string): void => setTexts((held) => ({ ...held, [KNOWN]: id }));
  const [errors, setErrors] = useState<Texts>({});
  const defaults: Texts = { owner_id: userId, currency, priority: "medium", status_option_id: statuses[0]?.id ?? "" };
  const text = (name: string): string => texts[name] ?? defaults[name] ?? "";
  const onText =
    (name: string) =>
    (typed: string): void =>
      setTexts((held) => ({ ...held, [name]: typed }));
  const match = contactId === "" ? index.find(texts.email, texts.phone_number) : undefined;
  const submit = async (): Promise<string | undefined> => {
    const valuesOf = (entity: string, names: readonly string[]) =>
      Object.fromEntries(
        names.map((name) => [name, typedValue(entity, name, text(name))]).filter(([, value]) => value !== null),
      );
    const person = valuesOf("contacts", WHO_FIELDS);
    const lead = valuesOf("leads", LEAD_FIELDS);
    if (lead.estimated_value === undefined) {
      delete lead.currency;
    }
    const [newContact, newLead] = [client.mintId(), client.mintId()];
    const leadFields = { ...lead, contact_id: contactId === "" ? newContact : contactId };
    const wrong = {
      ...(contactId === "" && { ...createErrors("contacts", person), ...whoErrors(person) }),
      ...createErrors("leads", leadFields),
    };
    setErrors(wrong);
    if (Object.keys(wrong).length > 0) {
      return undefined;
    }
    const saved = await client.mutate([
      ...(contactId === ""
        ? [
            {
              edit: "create",
              entity: "contacts",
              id: newContact,
              fields: { ...person, assigned_to: lead.owner_id ?? null },
            } as const,
          ]
        : []),
      { edit: "create", entity: "leads", id: newLead, fields: leadFields },
    ]);
    if (!saved.ok) {
      const { atFields, ofForm } = placedError(saved.error);
      setErrors(atFields);
      return ofForm;
    }
    forget();
    onClose();
    toast("Lead added", {
      action: { label: "Open", run: () => void navigate({ to: "/leads/$id", params: { id: newLead } }) },
    });
    return undefined;
  };
  const cancel = (): void => {
    forget();
    onClose();
  };
  return (
    <Form deed="Add lead" isChecked onSubmit={submit} onClose={cancel}>
      <fieldset className="grid grid-cols-1 gap-3 sm:grid-cols-2">
        <legend className="mb-2 text-xs font-semibold text-ink-3 uppercase tracking-wide">Who</legend>
        <div className="sm:col-span-2">
          <FormField
            entity="leads"
            name="contact_id"
            label="Somebody you have"
            isOptional
            text={contactId}
            onText={setContactId}
          />
        </div>
        {contactId === "" &&
          WHO_FIELDS.map((name, place) => (
            <FormField
              key={name}
              entity="contacts"
              name={name}
              text={text(name)}
              onText={onText(name)}
              error={errors[name]}
              isFocused={place === 0}
            />
          ))}
        {match !== undefined && <DuplicateHint match={match} onUse={() => setContactId(match.contact.id)} />}
      </fieldset>
      <fieldset className="grid grid-cols-1 gap-3 sm:grid-cols-2">
        <legend className="mb-2 text-xs font-semibold text-ink-3 uppercase tracking-wide">What</legend>
        {LEAD_FIELDS.map((name) => (
          <FormField
            key={name}
            entity="leads"
            name={name}
            text={text(name)}
            onText={onText(name)}
            error={errors[name]}
          />
        ))}
      </fieldset>
    </Form>
  );
}

/** Somebody with this e-mail or phone is there already. It warns and never blocks: families share phones. */
function DuplicateHint({ match: { contact, by }, onUse }: { match: Match; onUse: () => void }) {
  return (
    <p
      role="status"
      className="flex flex-wrap items-center gap-2 rounded-lg bg-warn-soft px-3 py-2 text-warn sm:col-span-2"
    >
      <span className="flex-1">
        {contactName(contact)} has the same {by} already.
      </span>
      <Button onClick={onUse}>Use {contactName(contact)}</Button>
    </p>
  );
}
