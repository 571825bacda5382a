import { useEffect, useRef } from "react";
import uPlot from "uplot";

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

const HEIGHT_PX = 170;
/** Time that a chart shows at least; seconds. */
const SPAN_MIN_S = 120;

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
      padding: [8, 8, 0, 0],
      cursor: { y: false },
      legend: { live: false, show: series.length > 1 },
      scales: {
        x: { range: (_, from, to) => [Math.min(from, to - SPAN_MIN_S), to] },
        y: { range: (_, low, high) => [Math.min(low, 0), Math.max(high * 1.1, 1)] },
      },
      axes: [axis, { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => `${tick}${unit}`) }],
      series: [
        {},
        ...series.map((line) => ({
          label: line.label,
          stroke: color(line.color),
          width: 2,
          points: { show: times.length < 2 },
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
