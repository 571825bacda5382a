/** A table of any length: only the rows on the screen are there. Arrow keys move, Enter opens. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown, ArrowUp } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { cx } from "./cx.ts";

export interface Column<R> {
  readonly key: string;
  readonly label: string;
  readonly render: (row: R) => ReactNode;
  /** Share of the width, `minmax(10rem, 2fr)`; in CSS grid terms. */
  readonly width: string;
  /** Numbers stand at the right. */
  readonly isNumeric?: boolean;
  /** Whether one can sort by it. */
  readonly canSort?: boolean;
  /** From which width of the screen on it is shown; absent: always. */
  readonly from?: "sm" | "md" | "lg" | "xl";
}

export interface Sorting {
  readonly key: string;
  readonly isDescending: boolean;
}

interface TableProps<R> {
  readonly label: string;
  readonly rows: readonly R[];
  readonly idOf: (row: R) => string;
  readonly columns: readonly Column<R>[];
  readonly sorting: Sorting;
  readonly onSort: (key: string) => void;
  readonly onOpen: (row: R) => void;
  /** On a phone each row is a card of two lines instead of columns. */
  readonly renderCard: (row: R) => ReactNode;
}

const ROW_PX = 44;
const CARD_PX = 68;
const OVERSCAN = 12;
const WIDTHS = { sm: 640, md: 768, lg: 1024, xl: 1440 } as const;

export function VirtualTable<R>({ label, rows, idOf, columns, sorting, onSort, onOpen, renderCard }: TableProps<R>) {
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth();
  const isPhone = width < WIDTHS.sm;
  const rowPx = isPhone ? CARD_PX : ROW_PX;
  const [activeId, setActiveId] = useState<string>();
  const shown = columns.filter(({ from }) => from === undefined || width >= WIDTHS[from]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowPx,
    overscan: OVERSCAN,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: rows are measured anew when their height changes
  useEffect(() => {
    virtual.measure();
  }, [virtual, rowPx]);
  const focusRow = useCallback(
    (index: number) => {
      const row = rows[index];
      if (row !== undefined) {
        setActiveId(idOf(row));
        virtual.scrollToIndex(index);
        const line = () => scroller.current?.querySelector<HTMLElement>(`[data-index="${index}"]`);
        // At once where it is there: the next key is meant for it. One that is scrolled to comes with the next frame.
        const held = line();
        if (held) {
          held.focus();
        } else {
          requestAnimationFrame(() => line()?.focus());
        }
      }
    },
    [rows, idOf, virtual],
  );
  const onKeyDown = (event: KeyboardEvent, index: number): void => {
    const page = Math.max(Math.floor((scroller.current?.clientHeight ?? 0) / rowPx) - 1, 1);
    const steps: Readonly<Record<string, number>> = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: rows.length - 1,
    };
    const next = steps[event.key];
    const row = rows[index];
    if (next !== undefined) {
      event.preventDefault();
      focusRow(Math.min(Math.max(next, 0), rows.length - 1));
    } else if (event.key === "Enter" && row !== undefined) {
      onOpen(row);
    }
  };
  const template = { gridTemplateColumns: shown.map((column) => column.width).join(" ") };
  const items = virtual.getVirtualItems();
  const hasActive = items.some(({ index }) => rows[index] !== undefined && idOf(rows[index]) === activeId);
  return (
    <div
      role="grid"
      aria-label={label}
      aria-rowcount={rows.length + 1}
      className="flex min-h-0 flex-1 flex-col border-t bg-surface"
    >
      {!isPhone && (
        <div
          role="row"
          className="grid shrink-0 items-center border-b bg-page px-3 sm:px-5 [scrollbar-gutter:stable]"
          style={template}
        >
          {shown.map((column) => (
            <HeaderCell key={column.key} column={column} sorting={sorting} onSort={onSort} />
          ))}
        </div>
      )}
      <div ref={scroller} className="min-h-0 flex-1 overflow-y-auto overscroll-contain">
        <div className="relative w-full" style={{ height: virtual.getTotalSize() }}>
          {items.map(({ index, start }) => {
            const row = rows[index];
            if (row === undefined) {
              return null;
            }
            const id = idOf(row);
            const isFirst = !hasActive && index === items[0]?.index;
            return (
              <div
                key={id}
                role="row"
                aria-rowindex={index + 2}
                data-index={index}
                data-id={id}
                tabIndex={id === activeId || isFirst ? 0 : -1}
                onFocus={() => setActiveId(id)}
                onClick={() => onOpen(row)}
                onKeyDown={(event) => onKeyDown(event, index)}
                className={cx(
                  "absolute inset-x-0 top-0 cursor-pointer border-b px-3 hover:bg-hover focus-visible:-outline-offset-2 sm:px-5",
                  isPhone ? "flex flex-col justify-center" : "grid items-center",
                )}
                style={{ height: rowPx, transform: `translateY(${start}px)`, ...(!isPhone && template) }}
              >
                {isPhone ? (
                  <div role="gridcell">{renderCard(row)}</div>
                ) : (
                  shown.map((column) => (
                    <div
                      key={column.key}
                      role="gridcell"
                      className={cx("truncate pr-4", column.isNumeric === true && "num pr-6 text-right")}
                    >
                      {column.render(row)}
                    </div>
                  ))
                )}
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}

function HeaderCell<R>({
  column,
  sorting,
  onSort,
}: {
  column: Column<R>;
  sorting: Sorting;
  onSort: (key: string) => void;
}) {
  const isSorted = sorting.key === column.key;
  const Arrow = sorting.isDescending ? ArrowDown : ArrowUp;
  const sort = isSorted ? (sorting.isDescending ? "descending" : "ascending") : "none";
  const text = "h-9 text-xs font-medium text-ink-3";
  return (
    <div
      role="columnheader"
      aria-sort={sort}
      className={cx("flex min-w-0 items-center pr-4", column.isNumeric === true && "justify-end pr-6")}
    >
      {column.canSort === false ? (
        <span className={cx("flex items-center", text)}>{column.label}</span>
      ) : (
        <button
          type="button"
          onClick={() => onSort(column.key)}
          className={cx("flex items-center gap-1 hover:text-ink", text, isSorted && "text-ink")}
        >
          {column.label}
          {isSorted && <Arrow aria-hidden="true" className="size-3" />}
        </button>
      )}
    </div>
  );
}

/** Width of the window in CSS pixels. */
export function useWidth(): number {
  const [width, setWidth] = useState(() => innerWidth);
  useEffect(() => {
    const onResize = (): void => setWidth(innerWidth);
    addEventListener("resize", onResize);
    return () => removeEventListener("resize", onResize);
  }, []);
  return width;
}
