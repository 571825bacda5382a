import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { clockTime } from "../../format/value.ts";
import { spanOf } from "./samples.ts";

export interface Series {
  readonly label: string;
  /** A colour of the theme, such as `--c-accent`. */
  readonly color: string;
  /** A value per moment; `null`: not known. */
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  readonly label: string;
  /** Seconds since the Unix epoch, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  readonly unit: string;
}

const HEIGHT_PX = 180;
/** Steps of the axes: whole minutes, and whole numbers, because nothing that is counted here has halves. */
const MINUTES = [60, 120, 300, 600];
const WHOLE = [1, 2, 5]
  .flatMap((digit) => Array.from({ length: 9 }, (_, zeros) => digit * 10 ** zeros))
  .sort((a, b) => a - b);
/** Up to so many samples each is a dot of its own, so that a single one is seen. */
const DOTS_MAX = 24;

/** Lines over time. Drawn anew when the theme or the width changes. */
export function Chart({ label, times, series, unit }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) {
      return;
    }
    const theme = getComputedStyle(document.documentElement);
    const color = (name: string): string => theme.getPropertyValue(name).trim();
    const axis = { stroke: color("--c-ink-3"), grid: { stroke: color("--c-line"), width: 1 }, ticks: { show: false } };
    const options: uPlot.Options = {
      width: element.clientWidth,
      height: HEIGHT_PX,
      padding: [8, 14, 0, 0],
      cursor: { y: false },
      legend: { live: false, show: series.length > 1 },
      scales: {
        // Not what the library would take for a single sample, which is years.
        x: { range: () => spanOf(times) },
        y: { range: (_, low, high) => [Math.min(low, 0), Math.max(high * 1.1, 1)] },
      },
      axes: [
        {
          ...axis,
          size: 32,
          space: 56,
          incrs: MINUTES,
          values: (_, ticks) => ticks.map((tick) => clockTime(tick * 1_000)),
        },
        { ...axis, size: 56, incrs: WHOLE, values: (_, ticks) => ticks.map((tick) => `${tick}${unit}`) },
      ],
      series: [
        {},
        ...series.map((line) => ({
          label: line.label,
          stroke: color(line.color),
          width: 2,
          points: { show: times.length <= DOTS_MAX, size: 6, fill: color(line.color) },
        })),
      ],
    };
    const plot = new uPlot(options, [[...times], ...series.map(({ values }) => [...values])], element);
    const resized = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: HEIGHT_PX }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [times, series, unit]);
  const latest = series.map((line) => `${line.label} ${line.values.at(-1) ?? "unknown"}${unit}`).join(", ");
  return <div ref={box} role="img" aria-label={`${label}: ${latest}`} className="w-full px-2 pb-2" />;
}
