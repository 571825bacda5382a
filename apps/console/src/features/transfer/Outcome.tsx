/** What an import would do, does, or did. */

import { Pause, Play, Undo2 } from "lucide-react";
import { Button } from "../../components/Button.tsx";
import { Card } from "../../components/Page.tsx";
import { download } from "../../format/download.ts";
import { counted, number } from "../../format/text.ts";
import type { Import } from "./current.ts";
import { type Sheet, writeCsv } from "./files.ts";
import { countersOf, type Planned } from "./plan.ts";
import { WAITING_MAX } from "./run.ts";

interface OutcomeProps {
  readonly planned: readonly Planned[];
  readonly sheet: Sheet;
  /** Absent: it was not begun. */
  readonly current?: Import;
  readonly onStart?: () => void;
  readonly onPause?: (isPaused: boolean) => void;
  readonly onStop?: () => void;
  readonly onUndo?: () => void;
  readonly onClose: () => void;
}

const TITLES = { planned: "Preview", running: "Importing", ended: "Done" } as const;

/** What would happen, what is happening, what happened. The numbers add up to the rows that were read. */
export function Outcome({ planned, sheet, current, onStart, onPause, onStop, onUndo, onClose }: OutcomeProps) {
  const { phase, progress, isPaused = false } = current ?? {};
  const counters = countersOf(planned);
  const refused = progress?.failed ?? [];
  const notReached = phase === "ended" && progress !== undefined ? progress.total - progress.done : 0;
  const left = planned.flatMap(({ line, cells, plan }) =>
    plan.does === "create" ? [] : [{ line, cells, reason: plan.reason }],
  );
  const unreached =
    notReached > 0
      ? planned
          .filter(({ plan }) => plan.does === "create")
          .slice(-notReached)
          .map(({ line, cells }) => ({ line, cells, reason: STOPPED }))
      : [];
  const problems = [...left, ...refused, ...unreached].sort((a, b) => a.line - b.line);
  const save = (): void => {
    const rows = problems.map(({ line, cells, reason }) => [String(line), reason, ...cells]);
    download("not-imported.csv", "text/csv", writeCsv(["line", "reason", ...sheet.headers], rows));
  };
  const created = progress === undefined ? counters.created : progress.created;
  const figures = [
    ["Read", counters.read],
    [progress === undefined ? "Would be created" : "Created", created],
    ["Left out", counters.skipped + notReached],
    ["Failed", counters.failed + refused.length],
  ] as const;
  return (
    <Card title={phase === "running" && isPaused ? "Paused" : TITLES[phase ?? "planned"]}>
      <dl className="grid grid-cols-2 gap-3 p-4 sm:grid-cols-4">
        {figures.map(([label, value]) => (
          <div key={label}>
            <dt className="text-sm text-ink-3">{label}</dt>
            <dd className="num text-xl font-semibold">{number(value)}</dd>
          </div>
        ))}
      </dl>
      {progress === undefined && sheet.encoding === "windows-1252" && (
        <p className="px-4 pb-4 text-ink-2">
          The file is not written in UTF-8 and was read as Windows-1252: check above that names with accents are right.
        </p>
      )}
      {progress !== undefined && phase === "running" && (
        <>
          <Bar label="Progress" done={progress.done} total={progress.total} />
          <p role="status" className="px-4 pb-4 text-ink-2">
            {isPaused
              ? "It waits until you let it go on. What is imported already stays."
              : progress.isWaiting
                ? `${number(WAITING_MAX)} changes wait to be sent, and more do not fit. It goes on by itself when the server is reached.`
                : "It goes on when you look at something else; this tab must stay open."}
          </p>
        </>
      )}
      {phase === "ended" && (
        <p className="px-4 pb-4 text-ink-2">
          What the server cannot accept comes to Rejected changes. The import can be taken back, now or later.
        </p>
      )}
      {problems.length > 0 && (
        <ul className="mx-4 mb-4 divide-y rounded-lg border">
          {problems.slice(0, SHOWN_MAX).map(({ line, reason }) => (
            <li key={line} className="flex gap-3 px-3 py-1.5">
              <span className="num w-16 shrink-0 text-ink-3">Line {line}</span>
              <span className="min-w-0">{reason}</span>
            </li>
          ))}
          {problems.length > SHOWN_MAX && (
            <li className="px-3 py-1.5 text-ink-3">And {number(problems.length - SHOWN_MAX)} more in the file.</li>
          )}
        </ul>
      )}
      <div className="flex flex-wrap justify-end gap-2 border-t p-3">
        {problems.length > 0 && <Button onClick={save}>Save rows that are left out</Button>}
        {progress === undefined ? (
          <>
            <Button onClick={onClose}>Cancel</Button>
            <Button tone="primary" disabled={counters.created === 0} onClick={onStart}>
              Import {counted(counters.created, "row")}
            </Button>
          </>
        ) : phase === "running" ? (
          <Brakes isPaused={isPaused} onPause={onPause} onStop={onStop} />
        ) : (
          <>
            <Button disabled={created === 0} icon={<Undo2 className="size-4" />} onClick={onUndo}>
              Take it back
            </Button>
            <Button tone="primary" onClick={onClose}>
              Done
            </Button>
          </>
        )}
      </div>
    </Card>
  );
}

/** How far something has come. */
export function Bar({ label, done, total }: { label: string; done: number; total: number }) {
  return (
    <progress
      aria-label={label}
      className="mx-4 mb-4 h-2 w-[calc(100%-2rem)] accent-accent"
      value={done}
      max={Math.max(total, 1)}
    />
  );
}

/** Pauses or ends what runs. */
export function Brakes({
  isPaused,
  onPause,
  onStop,
}: {
  isPaused: boolean;
  onPause: ((isPaused: boolean) => void) | undefined;
  onStop: (() => void) | undefined;
}) {
  return (
    <>
      <Button
        icon={isPaused ? <Play className="size-4" /> : <Pause className="size-4" />}
        onClick={() => onPause?.(!isPaused)}
      >
        {isPaused ? "Go on" : "Pause"}
      </Button>
      <Button onClick={onStop}>Stop here</Button>
    </>
  );
}

const STOPPED = "The import was stopped before this row.";
/** Problems that are listed on the screen; all of them are in the file. */
const SHOWN_MAX = 8;
