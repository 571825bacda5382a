/** What a file would do, row by row: created, skipped or failed, each with its reason. Pure. */

import type { Edit, Fields, Json } from "@syncline/sdk";
import type { Row } from "../../data/live.ts";
import { fieldOf } from "../../data/schema.ts";
import { ContactIndex, emailKey, phoneKey } from "../leads/duplicates.ts";
import { contactName } from "../record/titles.ts";
import { createErrors, typedValue } from "../record/value.ts";
import type { SheetRow } from "./files.ts";
import type { ImportKind, Target } from "./mapping.ts";

/** What a row does whose person is there already. */
export type OnMatch = "skip" | "attach" | "create";
/** How a file writes days, when it does not write 2026-11-21. */
export type DateOrder = "ymd" | "dmy" | "mdy";

/** How a file writes amounts: 1,234.50 or 1.234,50. */
export type NumberStyle = "point" | "comma";

export interface ImportChoices {
  readonly kind: ImportKind;
  readonly mapping: readonly Target[];
  readonly onMatch: OnMatch;
  readonly dateOrder: DateOrder;
  readonly numberStyle: NumberStyle;
  readonly ownerId: string;
  /** For amounts without a currency. */
  readonly currency: string;
}

export type RowPlan =
  | { readonly does: "create"; readonly edits: readonly Edit[] }
  | { readonly does: "skip" | "fail"; readonly reason: string };

export interface Planned extends SheetRow {
  readonly plan: RowPlan;
}

export interface Counters {
  readonly read: number;
  readonly created: number;
  readonly skipped: number;
  readonly failed: number;
}

/** read = created + skipped + failed, always. */
export function countersOf(planned: readonly Planned[]): Counters {
  const count = (does: RowPlan["does"]): number => planned.filter(({ plan }) => plan.does === does).length;
  return { read: planned.length, created: count("create"), skipped: count("skip"), failed: count("fail") };
}

/** Plans every row. `mintId`: ids of new records. A person that an earlier row of the file brings is known to the later ones. */
export function planImport(
  rows: readonly SheetRow[],
  contacts: readonly Row<"contacts">[],
  choices: ImportChoices,
  mintId: () => string,
): readonly Planned[] {
  const index = new ContactIndex(contacts);
  const inFile = new Map<string, number>();
  return rows.map((row): Planned => ({ ...row, plan: planRow(row, { index, inFile, choices, mintId }) }));
}

interface Around {
  readonly index: ContactIndex;
  /** Line of the first row with this e-mail or phone. */
  readonly inFile: Map<string, number>;
  readonly choices: ImportChoices;
  readonly mintId: () => string;
}

function planRow({ line, cells }: SheetRow, { index, inFile, choices, mintId }: Around): RowPlan {
  const values: { readonly contacts: Record<string, Json>; readonly leads: Record<string, Json> } = {
    contacts: {},
    leads: {},
  };
  for (const [column, target] of choices.mapping.entries()) {
    const text = (cells[column] ?? "").trim();
    if (target !== undefined && text !== "") {
      const value = cellValue(target.entity, target.field, text, choices);
      if (value === undefined) {
        const kind = fieldOf(target.entity, target.field).kind.type === "date" ? "a day" : "an amount";
        return { does: "fail", reason: `“${text}” is not ${kind} as the file was said to write it.` };
      }
      values[target.entity][target.field] = value;
    }
  }
  const person = values.contacts;
  if (Object.keys(person).length === 0) {
    return { does: "skip", reason: "The row names nobody: no cell of a mapped column has a value." };
  }
  const [email, phone] = [person.email, person.phone_number].map((value) =>
    typeof value === "string" ? value : undefined,
  );
  const errors = Object.values(createErrors("contacts", person));
  const keys = [emailKey(email), phoneKey(phone)].filter((key) => key !== undefined);
  // Without an e-mail or a phone the name is all there is to know somebody by: a file that is imported twice makes nobody twice.
  const match = index.find(email, phone) ?? (keys.length === 0 ? index.named(person) : undefined);
  if (errors[0] === undefined && match !== undefined && choices.onMatch === "skip") {
    return { does: "skip", reason: `${contactName(match.contact)} has the same ${match.by} already.` };
  }
  const earlier = keys.map((key) => inFile.get(key)).find((found) => found !== undefined);
  if (errors[0] === undefined && earlier !== undefined && choices.onMatch !== "create") {
    return { does: "skip", reason: `Line ${earlier} has the same e-mail or phone.` };
  }
  const contactId = match !== undefined && choices.onMatch === "attach" ? match.contact.id : mintId();
  const isNew = contactId !== match?.contact.id;
  const lead = choices.kind === "leads" ? leadOf(values.leads, contactId, choices) : undefined;
  if (lead !== undefined) {
    errors.push(...Object.values(createErrors("leads", lead)));
  }
  if (errors[0] !== undefined) {
    return { does: "fail", reason: errors.join(" ") };
  }
  if (!isNew && lead === undefined) {
    return { does: "skip", reason: "The contact is there already." };
  }
  for (const key of keys) {
    inFile.set(key, line);
  }
  return {
    does: "create",
    edits: editsOf({ contactId, isNew, person: { ...person, assigned_to: choices.ownerId }, lead }, mintId),
  };
}

function leadOf(values: Fields, contactId: string, { ownerId, currency }: ImportChoices): Fields {
  const isPriced = values.estimated_value !== undefined && values.currency === undefined;
  return { ...values, contact_id: contactId, owner_id: ownerId, ...(isPriced && { currency }) };
}

interface Wanted {
  readonly contactId: string;
  readonly isNew: boolean;
  readonly person: Fields;
  readonly lead: Fields | undefined;
}

function editsOf({ contactId, isNew, person, lead }: Wanted, mintId: () => string): readonly Edit[] {
  const edits: Edit[] = isNew ? [{ edit: "create", entity: "contacts", id: contactId, fields: person }] : [];
  return lead === undefined ? edits : [...edits, { edit: "create", entity: "leads", id: mintId(), fields: lead }];
}

/** The value of a cell; `undefined`: a day or an amount that is not written as it was said. */
function cellValue(
  entity: "contacts" | "leads",
  field: string,
  text: string,
  { dateOrder, numberStyle }: ImportChoices,
): Json | undefined {
  const { kind } = fieldOf(entity, field);
  switch (kind.type) {
    case "date":
      return dayOf(text, dateOrder);
    case "choice": {
      const wanted = text.toLowerCase().replace(/[\s-]+/g, "_");
      return kind.choices.find((choice) => choice.toLowerCase() === wanted) ?? text;
    }
    case "decimal":
      return plainNumber(text, numberStyle);
    default:
      return typedValue(entity, field, text);
  }
}

const NUMBERS: Readonly<Record<NumberStyle, RegExp>> = {
  point: /^-?(\d+|\d{1,3}([,\u0020'’]\d{3})+)(\.\d+)?$/,
  comma: /^-?(\d+|\d{1,3}([.\u0020'’]\d{3})+)(,\d+)?$/,
};
/** A currency before or after an amount: its sign, or three capitals. */
const CURRENCY = /^(?:\p{Sc}|[A-Z]{3}\b)\s*|\s*(?:\p{Sc}|\b[A-Z]{3})$/gu;

/** "€ 1.234,50" → "1234.50". An amount that is written otherwise than the person said is none: nothing is guessed. */
export function plainNumber(text: string, style: NumberStyle): string | undefined {
  const bare = text
    .replace(/[\u00A0\u202F]/g, " ")
    .trim()
    .replace(CURRENCY, "")
    .trim();
  if (!NUMBERS[style].test(bare)) {
    return undefined;
  }
  const decimal = style === "point" ? "." : ",";
  const [whole = "", cents] = bare.split(decimal);
  return `${whole.replace(/[^\d-]/g, "")}${cents === undefined ? "" : `.${cents}`}`;
}

/** How the cells of a file write amounts, by those that can be read in one way only; without any: with a point. */
export function guessNumberStyle(cells: Iterable<string>): NumberStyle {
  let balance = 0;
  for (const cell of cells) {
    const read = (["point", "comma"] as const).map((style) => plainNumber(cell, style));
    // Three digits after the only separator are thousands wherever money is written; a cell that shows its cents says more.
    const [point, comma] = read.map((value) =>
      value === undefined || /\.\d{3,}$/.test(value) ? 0 : value.includes(".") ? SURE : 1,
    ) as [number, number];
    balance += point > 0 && comma > 0 ? 0 : comma - point;
  }
  return balance > 0 ? "comma" : "point";
}

/** What a cell with cents weighs, against one with thousands alone. */
const SURE = 1_000;

/** A day as `2026-11-21`. A day that could be read in two ways is read as the person said, never guessed. */
export function dayOf(text: string, order: DateOrder): string | undefined {
  const parts = /^(\d{1,4})[-/.](\d{1,2})[-/.](\d{1,4})$/.exec(text)?.slice(1);
  if (parts === undefined) {
    return undefined;
  }
  const isIso = parts[0]?.length === 4;
  if (order === "ymd" && !isIso) {
    return undefined;
  }
  const [one = "", two = "", three = ""] = parts;
  const [year, month, day] = isIso ? [one, two, three] : order === "dmy" ? [three, two, one] : [three, one, two];
  const iso = `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}`;
  const read = new Date(`${iso}T00:00:00Z`);
  return year.length === 4 && !Number.isNaN(read.getTime()) && read.toISOString().startsWith(iso) ? iso : undefined;
}
