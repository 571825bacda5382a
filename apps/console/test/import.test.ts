import { describe, expect, it } from "vitest";
import type { Row } from "../src/data/live.ts";
import { readSheet, type Sheet, type SheetRow, writeCsv } from "../src/features/transfer/files.ts";
import { markOf } from "../src/features/transfer/kept.ts";
import { guessMapping } from "../src/features/transfer/mapping.ts";
import {
  countersOf,
  dayOf,
  guessNumberStyle,
  type ImportChoices,
  plainNumber,
  planImport,
} from "../src/features/transfer/plan.ts";
import { markOfNew } from "../src/features/transfer/run.ts";

const HEADERS = ["First Name", "Surname", "E-Mail", "Mobile", "Deal Value", "Closing date", "Shoe size"];
const OWNER = "0198c0de-0000-7000-8000-0000000000ff";
const ANNA: Row<"contacts"> = {
  id: "0198c0de-0000-7000-8000-000000000001",
  rv: 1,
  state: "synced",
  fields: { firstname: "Anna", email: "anna@example.com" },
};

function plan(rows: readonly (readonly string[])[], change: Partial<ImportChoices> = {}, known = [ANNA]) {
  return planRows(
    rows.map((cells, place) => ({ line: place + 2, cells })),
    change,
    known,
  );
}

function planRows(rows: readonly SheetRow[], change: Partial<ImportChoices> = {}, known = [ANNA]) {
  const ids = Array.from(
    { length: 100 },
    (_, place) => `0198c0de-0000-7000-8000-${String(place + 1).padStart(12, "0")}`,
  );
  const choices = {
    kind: "leads",
    mapping: guessMapping(HEADERS, "leads"),
    onMatch: "skip",
    dateOrder: "ymd",
    numberStyle: "comma",
    ownerId: OWNER,
    currency: "EUR",
    ...change,
  } as const;
  return planImport(rows, known, choices, () => ids.pop() ?? "");
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

it("[IMP-1] a file that is imported twice makes nobody twice, with or without an e-mail", () => {
  const rows = [
    ["Bo", "Ek", "bo@example.com", "", "", "", ""],
    ["Cy", "Ono", "", "", "", "", ""],
    ["Di", "Ito", "", "113", "", "", ""],
  ];
  const once = plan(rows);
  const made = once.flatMap(({ plan: { does, ...rest } }) =>
    does === "create" && "edits" in rest ? rest.edits.filter(({ edit }) => edit === "create").slice(0, 1) : [],
  );
  const known = made.map(
    (edit) =>
      ({
        id: "id" in edit ? edit.id : "",
        rv: 1,
        state: "synced",
        fields: "fields" in edit ? edit.fields : {},
      }) as Row<"contacts">,
  );
  expect(once.map(({ plan: { does } }) => does)).toEqual(["create", "create", "create"]);
  expect(plan(rows, {}, known).map(({ plan: { does } }) => does)).toEqual(["skip", "skip", "skip"]);
  expect(plan(rows, { onMatch: "create" }, known).map(({ plan: { does } }) => does)).toEqual([
    "create",
    "create",
    "create",
  ]);
});

it.each([
  ["€ 1.234,50", "comma", "1234.50"],
  ["1,234.5", "point", "1234.5"],
  ["12,000", "point", "12000"],
  ["12,000", "comma", "12.000"],
  ["1\u202f234,50 EUR", "comma", "1234.50"],
  ["USD 1'234", "point", "1234"],
  ["-3", "point", "-3"],
  ["10k", "point", undefined],
  ["(500)", "point", undefined],
  ["0.125", "point", "0.125"],
  ["1.234,50", "point", undefined],
  ["1,23,456", "point", undefined],
  ["about 5", "point", undefined],
] as const)("[IMP-1] an amount is never guessed: %s with a %s", (text, style, expected) => {
  expect(plainNumber(text, style)).toBe(expected);
});

it.each([
  [["12,000", "1.234,50"], "comma"],
  [["12,000", "7.5"], "point"],
  [["12.000"], "comma"],
  [["12"], "point"],
] as const)("how a file writes amounts is seen in those that can be read in one way: %o", (cells, style) => {
  expect(guessNumberStyle(cells)).toBe(style);
});

it.each([
  [{}, false],
  [{ firstname: "Bob" }, true],
  [{ city: "Oslo" }, true],
  [{ firstname: undefined }, true],
  [{ is_archived: false }, false],
  [{ is_archived: true }, true],
  [{ created_at: "2026-11-28T12:00:00Z", email: "bo@example.com" }, false],
] as const)("[IMP-1] an undo keeps what somebody has worked on: %o", (change, touched) => {
  const created = { firstname: "Bo", email: "bo@example.com", tags: ["b", "a"] };
  const now = { ...created, tags: ["a", "b"], ...change } as unknown as Record<string, string>;
  expect(markOf("contacts", now) !== markOfNew("contacts", created)).toBe(touched);
});

const fileOf = (content: string | readonly number[]): File =>
  new File([typeof content === "string" ? content : Uint8Array.from(content)], "people.csv");

async function sheetOf(content: string | readonly number[]): Promise<Sheet> {
  const sheet = await readSheet(fileOf(content));
  if (typeof sheet === "string") {
    throw new Error(sheet);
  }
  return sheet;
}

const NAMES = "Name\nJürgen";
const UTF_8 = [...new TextEncoder().encode(NAMES)];
/** Every letter is one of Latin-1, whose codes are those of Windows-1252 and of UTF-16. */
const WINDOWS_1252 = [...NAMES].map((letter) => letter.charCodeAt(0));

it.each([
  ["UTF-8", UTF_8, "utf-8"],
  ["UTF-8 with a mark", [0xef, 0xbb, 0xbf, ...UTF_8], "utf-8"],
  ["UTF-16 little endian", [0xff, 0xfe, ...WINDOWS_1252.flatMap((code) => [code, 0])], "utf-16le"],
  ["UTF-16 big endian", [0xfe, 0xff, ...WINDOWS_1252.flatMap((code) => [0, code])], "utf-16be"],
  ["Windows-1252", WINDOWS_1252, "windows-1252"],
] as const)("[IMP-1] names keep their letters in %s", async (_, bytes, encoding) => {
  expect(await sheetOf(bytes)).toMatchObject({
    encoding,
    headers: ["Name"],
    rows: [{ line: 2, cells: ["Jürgen"] }],
  });
});

it("[IMP-1] what was exported comes back as it was", async () => {
  const texts = ["+1 555 0100", "-5", "=1+1", "@home", "\t=1", "'=x", "''=x", "'quoted'", "'", "O'Hara", "=a\nb"];
  const csv = writeCsv(["-", "reason"], [texts]);
  expect(csv).toContain(`"'+1 555 0100"`);
  expect(csv).toContain(`"'=a\nb"`);
  const { headers, rows } = await sheetOf(csv);
  expect(headers).toEqual(["-", "reason"]);
  expect(rows.map(({ cells }) => cells)).toEqual([texts]);
});

it("[IMP-1] rows that are left out keep the cells for which the header has no name", async () => {
  const csv = writeCsv(["line", "reason", "Name"], [["2", "no room", "Bo", "Oslo"]]);
  expect((await sheetOf(csv)).rows).toEqual([{ line: 2, cells: ["2", "no room", "Bo", "Oslo"] }]);
});

it.each([
  ["empty lines", "Name,City\n\nBo,Oslo\n,\n\nCy,Rome\n", [3, 6]],
  ["an empty line in front", "\r\nName,City\r\nBo,Oslo\r\n", [3]],
  ["cells of several lines", 'Name,"City\nor town"\nBo,"Oslo\n\nNorway"\nCy,Rome', [3, 6]],
  ["the line of Excel", "sep=;\r\nName;City\r\nBo;Oslo\r\nCy;Rome\r\n", [3, 4]],
] as const)("[IMP-1] a row is said to be where it is in the file: %s", async (_, csv, lines) => {
  const { headers, rows } = await sheetOf(csv);
  expect(headers).toHaveLength(2);
  expect(rows.map(({ line }) => line)).toEqual(lines);
  expect(rows.map(({ cells }) => cells[0])).toEqual(["Bo", "Cy"].slice(0, lines.length));
});

it("[IMP-1] the separator that Excel's line names is taken, whatever else is frequent", async () => {
  const { headers, rows } = await sheetOf("sep=|\nName|Amount;in;euros\nBo|1;2;3");
  expect([headers, rows]).toEqual([["Name", "Amount;in;euros"], [{ line: 3, cells: ["Bo", "1;2;3"] }]]);
});

it("[IMP-1] a plan names the lines of its rows", () => {
  const rows = [
    { line: 4, cells: ["Bo", "", "bo@example.com"] },
    { line: 9, cells: ["Bo", "", "bo@example.com"] },
  ];
  const planned = planRows(rows);
  expect(planned.map(({ line }) => line)).toEqual([4, 9]);
  expect(planned[1]?.plan).toEqual({ does: "skip", reason: "Line 4 has the same e-mail or phone." });
});

it.each(["", "\n\n", "Name,City\n", "sep=;\nName;City"])("a file without rows is refused: %o", async (csv) => {
  expect(await readSheet(fileOf(csv))).toBe("The file has no rows below its header.");
});
