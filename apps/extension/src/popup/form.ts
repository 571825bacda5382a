/** The preview: what was found, to be changed and saved. */

import type { Capture, Source } from "../capture/capture.ts";
import { CONTACT_FIELDS, type ContactField, type ContactFields } from "../capture/fields.ts";
import { line, lines } from "../capture/text.ts";
import { ask, type Duplicate, type Saved } from "../messages.ts";
import { h } from "../ui/dom.ts";

export const LABELS: Readonly<Record<ContactField, string>> = {
  firstname: "First name",
  lastname: "Last name",
  email: "E-mail",
  phone_number: "Phone",
  company_name: "Company",
  job_title: "Job title",
  website: "Website",
  st_address: "Street",
  city: "City",
  state: "State",
  zip: "Postal code",
  country: "Country",
};
const SOURCES: Readonly<Record<Source, string>> = {
  selection: "from your selection",
  json_ld: "from the page's data",
  microdata: "from the page's data",
  open_graph: "from the page's header",
  link: "from a link",
  address_bar: "from the address",
};
const SAME: Readonly<Record<Duplicate["same"][number], string>> = {
  email: "same e-mail",
  phone: "same phone",
  company: "same company",
};
const TYPES: Readonly<Partial<Record<ContactField, string>>> = { email: "email", phone_number: "tel", website: "url" };
/** The hint follows typing after this pause. */
const HINT_MS = 250;
const INTEREST_MAX = 255;
const NOTES_MAX = 5_000;

/** What the person has decided. */
export interface Filled {
  readonly contact: ContactFields;
  readonly lead: Capture["lead"];
  readonly existing?: string;
}

export interface FormOptions {
  readonly capture: Capture;
  /** What the form is called. */
  readonly title: string;
  /** `contact`: there is no lead to be seen with it, because one is being corrected. */
  readonly parts: "contact_and_lead" | "contact";
  /** The contact that was chosen before. */
  readonly existing?: string;
  readonly save: (filled: Filled) => Promise<Saved>;
  readonly close: (message: string) => void;
}

/** The form as an element; its first field takes the focus when it is put into the page. */
export function formOf(options: FormOptions): HTMLFormElement {
  const { capture } = options;
  const inputs = new Map<ContactField, HTMLInputElement>();
  const alert = h("p", { class: "alert", attributes: { role: "alert" } });
  const hint = h("div", { class: "duplicates", attributes: { role: "status", "aria-live": "polite" } });
  let existing = options.existing;
  let wanted = 0;

  const read = (): ContactFields =>
    Object.fromEntries(
      [...inputs].flatMap(([name, { value }]) => (value.trim() === "" ? [] : [[name, line(value, 2_048)]])),
    );
  const showDuplicates = async (): Promise<void> => {
    const asked = ++wanted;
    const found = options.parts === "contact" ? [] : await ask("duplicates", read()).catch(() => []);
    if (asked === wanted) {
      const isThere = existing === options.existing || found.some(({ id }) => id === existing);
      existing = isThere ? existing : undefined;
      hint.replaceChildren(
        ...duplicateChoices(found, existing, (id) => {
          existing = id;
        }),
      );
    }
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const later = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => void showDuplicates(), HINT_MS);
  };

  const rows = CONTACT_FIELDS.map((name) => {
    const input = h("input", {
      attributes: { id: name, name, type: TYPES[name] ?? "text", autocomplete: "off", dir: "auto" },
      on: { input: later },
    });
    input.value = capture.contact[name] ?? "";
    inputs.set(name, input);
    return field(LABELS[name], input, sourceOf(capture, name));
  });
  const interest = h("input", { attributes: { id: "product_interest", autocomplete: "off", dir: "auto" } });
  interest.value = capture.lead.product_interest ?? "";
  const notes = h("textarea", { attributes: { id: "notes", rows: "3", dir: "auto" } });
  notes.value = capture.lead.notes ?? "";
  const save = h("button", { class: "primary", attributes: { type: "submit" } }, "Save lead");

  const submit = async (): Promise<void> => {
    // Enter pressed twice is one lead.
    if (save.disabled) {
      return;
    }
    const { product_interest: _, notes: __, ...lead } = capture.lead;
    const [interested, noted] = [line(interest.value, INTEREST_MAX), lines(notes.value, NOTES_MAX)];
    save.disabled = true;
    alert.textContent = "";
    try {
      const saved = await options.save({
        contact: read(),
        lead: {
          ...lead,
          ...(interested !== "" && { product_interest: interested }),
          ...(noted !== "" && { notes: noted }),
        },
        ...(existing !== undefined && { existing }),
      });
      if (saved.saved) {
        options.close("Saved. It goes to the server by itself.");
        return;
      }
      alert.textContent = saved.message;
      inputs.get(saved.field as ContactField)?.focus();
    } catch (error) {
      alert.textContent = `Nothing was saved: ${error instanceof Error ? error.message : String(error)}`;
    } finally {
      save.disabled = false;
    }
  };

  void showDuplicates();
  return h(
    "form",
    {
      class: "capture",
      attributes: { novalidate: "", "aria-label": options.title },
      on: {
        submit: (event) => {
          event.preventDefault();
          void submit();
        },
      },
    },
    h("h2", {}, options.title),
    hint,
    h("div", { class: "fields" }, ...rows),
    ...(options.parts === "contact" ? [] : [field("Interest", interest), field("Notes", notes)]),
    alert,
    h(
      "div",
      { class: "actions" },
      save,
      h("button", { attributes: { type: "button" }, on: { click: () => options.close("") } }, "Cancel"),
    ),
  );
}

function field(label: string, control: HTMLInputElement | HTMLTextAreaElement, source?: string): HTMLElement {
  const hint = source === undefined ? undefined : h("small", { attributes: { id: `${control.id}_source` } }, source);
  if (hint !== undefined) {
    control.setAttribute("aria-describedby", hint.id);
  }
  return h("div", { class: "field" }, h("label", { attributes: { for: control.id } }, label), control, hint);
}

function sourceOf(capture: Capture, name: ContactField): string | undefined {
  const source = capture.sources[name];
  return source === undefined ? undefined : SOURCES[source];
}

/** Candidates to choose from. A match warns, it never blocks: families share telephones. */
function duplicateChoices(
  found: readonly Duplicate[],
  chosen: string | undefined,
  choose: (id: string | undefined) => void,
): HTMLElement[] {
  if (found.length === 0) {
    return [];
  }
  const choice = (id: string | undefined, text: string): HTMLElement => {
    const radio = h("input", { attributes: { type: "radio", name: "existing" }, on: { change: () => choose(id) } });
    radio.checked = id === chosen;
    return h("label", {}, radio, h("bdi", {}, text));
  };
  return [
    h(
      "fieldset",
      {},
      h("legend", {}, found.length === 1 ? "This may be somebody you know" : "These may be people you know"),
      choice(undefined, "Make a new contact"),
      ...found.map(({ id, name, company, same }) =>
        choice(
          id,
          `Add to ${name}${company === "" ? "" : `, ${company}`} (${same.map((each) => SAME[each]).join(", ")})`,
        ),
      ),
    ),
  ];
}
