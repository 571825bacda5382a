/** Files that come in and go out. */

import Papa from "papaparse";

export interface Sheet {
  readonly name: string;
  readonly headers: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Larger files are for `syncline import`, which streams them. */
export const FILE_BYTES_MAX = 50_000_000;
export const ROWS_MAX = 100_000;

/** Reads a CSV file, whatever separates its cells. Returns why not, for a person. */
export async function readSheet(file: File): Promise<Sheet | string> {
  if (file.size > FILE_BYTES_MAX) {
    return "The file is larger than 50 MB. Import it on the server with `syncline import`.";
  }
  const { data } = Papa.parse<string[]>(await file.text(), { skipEmptyLines: "greedy" });
  const [headers, ...rows] = data;
  if (headers === undefined || rows.length === 0) {
    return "The file has no rows below its header.";
  }
  if (rows.length > ROWS_MAX) {
    return "The file has more than 100,000 rows. Import it on the server with `syncline import`.";
  }
  return { name: file.name, headers: headers.map((header) => header.replace(/^\uFEFF/, "").trim()), rows };
}

/** CSV with cells that a spreadsheet would run made harmless. */
export function writeCsv(headers: readonly string[], rows: readonly (readonly string[])[]): string {
  return Papa.unparse({ fields: [...headers], data: rows.map((row) => [...row]) }, { escapeFormulae: true });
}
