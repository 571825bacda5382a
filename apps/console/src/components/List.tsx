import type { ReactNode } from "react";

export interface ListColumn<R> {
  readonly label: string;
  readonly render: (row: R) => ReactNode;
  readonly isNumeric?: boolean;
  /** Not on a phone. */
  readonly isExtra?: boolean;
}

/** A short table for administration; long lists of records are a `VirtualTable`. */
export function List<R>({
  label,
  rows,
  idOf,
  columns,
}: {
  label: string;
  rows: readonly R[];
  idOf: (row: R) => string;
  columns: readonly ListColumn<R>[];
}) {
  const cell = (column: ListColumn<R>): string =>
    `${column.isNumeric === true ? "num text-right" : "text-left"} ${column.isExtra === true ? "hidden md:table-cell" : ""} px-2 first:pl-4 last:pr-3 md:px-3 md:last:pr-4`;
  return (
    <div className="overflow-x-auto rounded-xl border bg-surface shadow-card">
      <table aria-label={label} className="w-full">
        <thead className="bg-page text-xs text-ink-3">
          <tr className="border-b">
            {columns.map((column) => (
              <th key={column.label} scope="col" className={`${cell(column)} h-9 font-medium whitespace-nowrap`}>
                {column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y">
          {rows.map((row) => (
            <tr key={idOf(row)}>
              {columns.map((column) => (
                <td key={column.label} className={`${cell(column)} py-2.5`}>
                  {column.render(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
