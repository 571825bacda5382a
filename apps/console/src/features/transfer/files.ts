/** Files that come in and go out. */

import Papa from "papaparse";

export interface Sheet {
  readonly name: string;
  readonly encoding: Encoding;
  readonly headers: readonly string[];
  readonly rows: readonly SheetRow[];
}

export interface SheetRow {
  /** Of the file, from 1: where the row begins. Empty lines and lines within cells count. */
  readonly line: number;
  readonly cells: readonly string[];
}

export type Encoding = "utf-8" | "utf-16le" | "utf-16be" | "windows-1252";

/** Larger files are for `syncline import`, which streams them. */
export const FILE_BYTES_MAX = 50_000_000;
export const ROWS_MAX = 100_000;

/** Reads a CSV file, whatever separates its cells. Returns why not, for a person. */
export async function readSheet(file: File): Promise<Sheet | string> {
  if (file.size > FILE_BYTES_MAX) {
    return "The file is larger than 50 MB. Import it on the server with `syncline import`.";
  }
  const { text, encoding } = decode(new Uint8Array(await file.arrayBuffer()));
  const [header, ...rows] = readRows(text);
  if (header === undefined || rows.length === 0) {
    return "The file has no rows below its header.";
  }
  if (rows.length > ROWS_MAX) {
    return "The file has more than 100,000 rows. Import it on the server with `syncline import`.";
  }
  return { name: file.name, encoding, headers: header.cells.map((cell) => cell.trim()), rows };
}

/** What a file begins with that says how it is encoded. */
const BYTE_ORDER_MARKS: readonly (readonly [encoding: Encoding, bytes: readonly number[]])[] = [
  ["utf-8", [0xef, 0xbb, 0xbf]],
  ["utf-16le", [0xff, 0xfe]],
  ["utf-16be", [0xfe, 0xff]],
];

/** By its byte order mark. Without one it is UTF-8 or, where it cannot be, what Excel on Windows saves as "CSV". */
function decode(bytes: Uint8Array): { readonly text: string; readonly encoding: Encoding } {
  const marked = BYTE_ORDER_MARKS.find(([, mark]) => mark.every((byte, place) => bytes[place] === byte));
  const encoding = marked?.[0] ?? (isUtf8(bytes) ? "utf-8" : "windows-1252");
  return { text: new TextDecoder(encoding).decode(bytes), encoding };
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Excel's first line that names the separator: `sep=;`. */
const SEPARATOR_LINE = /^"?sep=(.)"?(?:\r\n|\r|\n)/i;

/** Rows that have a value in a cell, the header first. */
function readRows(text: string): readonly SheetRow[] {
  const [first = "", separator] = SEPARATOR_LINE.exec(text) ?? [];
  const body = text.slice(first.length);
  // Guessed apart: among all rows, empty lines would count as rows of one cell.
  const delimiter = separator ?? Papa.parse(body, { preview: 1, skipEmptyLines: "greedy" }).meta.delimiter;
  let next = first === "" ? 1 : 2;
  return Papa.parse<string[]>(body, { delimiter }).data.flatMap((cells): SheetRow[] => {
    const line = next;
    next += 1 + cells.reduce((breaks, cell) => breaks + breaksIn(cell), 0);
    return cells.every((cell) => cell.trim() === "") ? [] : [{ line, cells: cells.map(unguarded) }];
  });
}

function breaksIn(cell: string): number {
  return cell.match(/\r\n|\r|\n/g)?.length ?? 0;
}

/** What a spreadsheet would run, and what looks like it once an apostrophe is gone. The same as in `syncline export`. */
const FORMULA = /^'*[=+\-@\t\r]/;

/** A cell without the apostrophe that {@link writeCsv} puts before a formula: every text comes back as it was. */
function unguarded(cell: string): string {
  return cell.startsWith("'") && FORMULA.test(cell) ? cell.slice(1) : cell;
}

/** CSV with cells that a spreadsheet would run made harmless, by an apostrophe that {@link readSheet} takes off again. */
export function writeCsv(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  return Papa.unparse([headers, ...rows], { escapeFormulae: FORMULA });
}
