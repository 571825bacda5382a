import { describe, expect, it } from "vitest";
import type { Row } from "../src/data/live.ts";
import { guessMapping } from "../src/features/transfer/mapping.ts";
import { countersOf, dayOf, type ImportChoices, plainNumber, planImport } from "../src/features/transfer/plan.ts";

const HEADERS = ["First Name", "Surname", "E-Mail", "Mobile", "Deal Value", "Closing date", "Shoe size"];
const OWNER = "0198c0de-0000-7000-8000-0000000000ff";
const ANNA: Row<"contacts"> = {
  id: "0198c0de-0000-7000-8000-000000000001",
  rv: 1,
  state: "synced",
  fields: { firstname: "Anna", email: "anna@example.com" },
};

function plan(rows: readonly (readonly string[])[], change: Partial<ImportChoices> = {}) {
  const ids = Array.from(
    { length: 100 },
    (_, place) => `0198c0de-0000-7000-8000-${String(place + 1).padStart(12, "0")}`,
  );
  const choices = {
    kind: "leads",
    mapping: guessMapping(HEADERS, "leads"),
    onMatch: "skip",
    dateOrder: "ymd",
    ownerId: OWNER,
    currency: "EUR",
    ...change,
  } as const;
  return planImport(rows, [ANNA], choices, () => ids.pop() ?? "");
}

describe("[IMP-1] an import on the device", () => {
  it("guesses columns by what other systems call them, and leaves the others out", () => {
    expect(guessMapping(HEADERS, "leads").map((target) => target && `${target.entity}.${target.field}`)).toEqual([
      "contacts.firstname",
      "contacts.lastname",
      "contacts.email",
      "contacts.phone_number",
      "leads.estimated_value",
      "leads.expected_close_date",
      undefined,
    ]);
  });

  const ROWS = [
    ["Bo", "Ek", "bo@example.com", "", "1.234,50", "2026-12-01", "44"],
    ["Anna", "", "ANNA@example.com", "", "", "", ""],
    ["Bo", "again", "Bo@Example.com", "", "", "", ""],
    ["Cy", "", "not an address", "", "", "", ""],
    ["Di", "", "", "+47 22 33 44 55", "", "03/04/2026", ""],
    ["", "", "", "", "", "", "39"],
  ];

  it("accounts for every row: read = created + skipped + failed", () => {
    const planned = plan(ROWS);
    expect(planned.map(({ line, plan: { does } }) => `${line} ${does}`)).toEqual([
      "2 create",
      "3 skip",
      "4 skip",
      "5 fail",
      "6 fail",
      "7 skip",
    ]);
    expect(countersOf(planned)).toEqual({ read: 6, created: 1, skipped: 3, failed: 2 });
  });

  it("makes a contact and its lead in one mutation, with the currency an amount needs", () => {
    const [first] = plan(ROWS);
    const edits = first?.plan.does === "create" ? first.plan.edits : [];
    expect(edits).toMatchObject([
      { entity: "contacts", fields: { firstname: "Bo", lastname: "Ek", assigned_to: OWNER } },
      {
        entity: "leads",
        fields: { estimated_value: "1234.50", currency: "EUR", expected_close_date: "2026-12-01", owner_id: OWNER },
      },
    ]);
    expect(edits[1]).toMatchObject({ fields: { contact_id: edits[0]?.edit === "create" ? edits[0].id : "" } });
  });

  it("adds the lead to the contact that is there, when told so", () => {
    const second = plan(ROWS, { onMatch: "attach" })[1];
    expect(second?.plan).toMatchObject({
      does: "create",
      edits: [{ entity: "leads", fields: { contact_id: ANNA.id } }],
    });
  });
});

it.each([
  ["2026-11-21", "ymd", "2026-11-21"],
  ["03/04/2026", "ymd", undefined],
  ["03/04/2026", "dmy", "2026-04-03"],
  ["03/04/2026", "mdy", "2026-03-04"],
  ["31.02.2026", "dmy", undefined],
  ["1/2/26", "dmy", undefined],
] as const)("[IMP-1] a day is never guessed: %s as %s", (text, order, expected) => {
  expect(dayOf(text, order)).toBe(expected);
});

it.each([
  ["€ 1.234,50", "1234.50"],
  ["1,234.5", "1234.5"],
  ["12,000", "12000"],
  ["-3", "-3"],
])("an amount is read as it was meant: %s", (text, expected) => {
  expect(plainNumber(text)).toBe(expected);
});
