/** A list of any length whose items have heights of their own: only those on the screen are there. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useEffect, useRef } from "react";

interface ListProps<I> {
  readonly label: string;
  readonly items: readonly I[];
  readonly keyOf: (item: I) => string;
  readonly render: (item: I) => ReactNode;
  /** Of an item that was not measured yet, in pixels. */
  readonly estimatePx: number;
  /** Between two items, in pixels. */
  readonly gapPx?: number;
  readonly className?: string;
  /** The item that is brought onto the screen and takes the focus, as soon as it is among the items; empty: none. */
  readonly reveal?: string;
}

/** Items beyond the edge of the screen: an arrow key finds the next one there. */
const OVERSCAN = 8;

export function VirtualList<I>({
  label,
  items,
  keyOf,
  render,
  estimatePx,
  gapPx = 0,
  className,
  reveal = "",
}: ListProps<I>) {
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: items.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => estimatePx,
    getItemKey: (index) => {
      const item = items[index];
      return item === undefined ? index : keyOf(item);
    },
    gap: gapPx,
    overscan: OVERSCAN,
  });
  const revealed = reveal === "" ? -1 : items.findIndex((item) => keyOf(item) === reveal);
  const isHere = revealed >= 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once when it comes, not again when those around it change
  useEffect(() => {
    if (isHere) {
      virtual.scrollToIndex(revealed);
      const focus = (): void =>
        scroller.current?.querySelector<HTMLElement>(`[data-index="${revealed}"] :is(a, button)`)?.focus();
      requestAnimationFrame(() => requestAnimationFrame(focus));
    }
  }, [reveal, isHere]);
  return (
    <div ref={scroller} className={className}>
      <div role="list" aria-label={label} className="relative w-full" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, key, start }) => {
          const item = items[index];
          return (
            item !== undefined && (
              <div
                key={key}
                role="listitem"
                aria-setsize={items.length}
                aria-posinset={index + 1}
                ref={virtual.measureElement}
                data-index={index}
                className="absolute inset-x-0 top-0"
                style={{ transform: `translateY(${start}px)` }}
              >
                {render(item)}
              </div>
            )
          );
        })}
      </div>
    </div>
  );
}
