import { FileUp, Undo2 } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { cx } from "../../components/cx.ts";
import { Card, Page } from "../../components/Page.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { useClient, useLive } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { fieldOf } from "../../data/schema.ts";
import { download } from "../../format/download.ts";
import { counted, number } from "../../format/text.ts";
import { closeImport, type Import, startImport, stopImport, takeBack, useImport } from "./current.ts";
import { readSheet, type Sheet, writeCsv } from "./files.ts";
import { MappingCard } from "./MappingCard.tsx";
import { guessMapping, type ImportKind, type Target } from "./mapping.ts";
import {
  countersOf,
  type DateOrder,
  guessNumberStyle,
  type NumberStyle,
  type OnMatch,
  type Planned,
  planImport,
} from "./plan.ts";
import { WAITING_MAX } from "./run.ts";

/** A CSV file becomes leads or contacts: mapped, previewed, imported and, if wanted, taken back. A short one needs no network. */
export function ImportPage() {
  const current = useImport();
  const [sheet, setSheet] = useState<Sheet>();
  const [error, setError] = useState("");
  const about = current?.sheet ?? sheet;
  const take = async (file: File | undefined): Promise<void> => {
    if (file !== undefined) {
      const read = await readSheet(file);
      setError(typeof read === "string" ? read : "");
      setSheet(typeof read === "string" ? undefined : read);
    }
  };
  return (
    <Page title="Import" aside={about !== undefined && `${about.name} · ${counted(about.rows.length, "row")}`}>
      {current !== undefined ? (
        <UnderWay current={current} onClose={() => setSheet(undefined)} />
      ) : sheet === undefined ? (
        <DropZone error={error} onFile={(file) => attempt(take(file))} />
      ) : (
        <Planning key={sheet.name} sheet={sheet} onClose={() => setSheet(undefined)} />
      )}
    </Page>
  );
}

/** An import that runs or has ended. It goes on when one looks at something else, and is here when one comes back. */
function UnderWay({ current, onClose }: { current: Import; onClose: () => void }) {
  const client = useClient();
  const [, once] = useBusy();
  const close = (): void => {
    onClose();
    closeImport();
  };
  const undo = async (): Promise<void> => {
    onClose();
    const undone = await takeBack(client);
    if (undone !== undefined) {
      const { kept, failed } = undone;
      const detail = [
        ...(kept > 0 ? [`${counted(kept, "record")} stayed, because somebody has worked on them since.`] : []),
        ...(failed > 0 ? [`${counted(failed, "record")} could not be deleted.`] : []),
      ].join(" ");
      toast("The import was taken back", detail === "" ? {} : { detail });
    }
  };
  return (
    <div className="max-w-4xl">
      <Outcome
        planned={current.planned}
        sheet={current.sheet}
        current={current}
        onStop={stopImport}
        onUndo={() => once(undo)}
        onClose={close}
      />
    </div>
  );
}

function DropZone({ error, onFile }: { error: string; onFile: (file: File | undefined) => void }) {
  const input = useRef<HTMLInputElement>(null);
  const [isOver, setIsOver] = useState(false);
  return (
    <section
      aria-label="File"
      onDragOver={(event) => {
        event.preventDefault();
        setIsOver(true);
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setIsOver(false);
        onFile(event.dataTransfer.files[0]);
      }}
      className={cx(
        "flex max-w-3xl flex-col items-center gap-3 rounded-2xl border-2 border-dashed bg-surface px-6 py-16 text-center",
        isOver ? "border-accent bg-accent-soft" : "border-line-strong",
      )}
    >
      <FileUp aria-hidden="true" className="size-8 text-ink-3" />
      <h2 className="text-lg font-semibold">Drop a CSV file here</h2>
      <p className="max-w-md text-ink-2">
        The first line names the columns. You see what would happen before anything is written, and can take it back
        afterwards.
      </p>
      <input
        ref={input}
        type="file"
        accept=".csv,.tsv,.txt,text/csv"
        aria-label="CSV file"
        className="sr-only"
        onChange={(event) => onFile(event.target.files?.[0])}
      />
      <Button tone="primary" onClick={() => input.current?.click()}>
        Choose a file
      </Button>
      {error !== "" && (
        <p role="alert" className="text-bad">
          {error}
        </p>
      )}
    </section>
  );
}

const KINDS = [
  { value: "leads", label: "Leads with their contacts" },
  { value: "contacts", label: "Contacts" },
];
const MATCHES = [
  { value: "skip", label: "Leave the row out" },
  { value: "attach", label: "Add the lead to the contact" },
  { value: "create", label: "Import it all the same" },
];
const ORDERS = [
  { value: "ymd", label: "2026-11-21" },
  { value: "dmy", label: "21/11/2026" },
  { value: "mdy", label: "11/21/2026" },
];

const STYLES = [
  { value: "point", label: "1,234.50" },
  { value: "comma", label: "1.234,50" },
];

function Planning({ sheet, onClose }: { sheet: Sheet; onClose: () => void }) {
  const client = useClient();
  const { userId } = useMe();
  const contacts = useLive("contacts").rows;
  const currency = useLive("workspaces").rows[0]?.fields.default_currency ?? "EUR";
  // People that the import itself brings must not count as duplicates of it.
  const [known] = useState(contacts);
  const [kind, setKind] = useState<ImportKind>("leads");
  const [mapping, setMapping] = useState<readonly Target[]>(() => guessMapping(sheet.headers, "leads"));
  const [onMatch, setOnMatch] = useState<OnMatch>("skip");
  const [dateOrder, setDateOrder] = useState<DateOrder>("ymd");
  const amounts = useMemo(
    () =>
      mapping.flatMap((target, column) =>
        target !== undefined && fieldOf(target.entity, target.field).kind.type === "decimal" ? [column] : [],
      ),
    [mapping],
  );
  const guessed = useMemo(
    () => guessNumberStyle(sheet.rows.flatMap((row) => amounts.map((column) => row[column] ?? ""))),
    [sheet, amounts],
  );
  const [styled, setStyled] = useState<NumberStyle>();
  const numberStyle = styled ?? guessed;
  const planned = useMemo(
    () =>
      planImport(sheet.rows, known, { kind, mapping, onMatch, dateOrder, numberStyle, ownerId: userId, currency }, () =>
        client.mintId(),
      ),
    [sheet, known, kind, mapping, onMatch, dateOrder, numberStyle, userId, currency, client],
  );
  return (
    <div className="flex max-w-4xl flex-col gap-4">
      <Card title="What it becomes">
        <div className="flex flex-wrap gap-x-6 gap-y-3 p-4">
          <Labelled label="Rows are">
            <Choose
              label="Rows are"
              value={kind}
              options={KINDS}
              onChange={(value) => {
                setKind(value as ImportKind);
                setMapping(guessMapping(sheet.headers, value as ImportKind));
              }}
            />
          </Labelled>
          <Labelled label="Whose e-mail or phone is known">
            <Choose
              label="Whose e-mail or phone is known"
              className="max-w-none"
              value={onMatch}
              options={kind === "leads" ? MATCHES : MATCHES.filter(({ value }) => value !== "attach")}
              onChange={(value) => setOnMatch(value as OnMatch)}
            />
          </Labelled>
          {amounts.length > 0 && (
            <Labelled label="Amounts are written">
              <Choose
                label="Amounts are written"
                value={numberStyle}
                options={STYLES}
                onChange={(value) => setStyled(value as NumberStyle)}
              />
            </Labelled>
          )}
          {mapping.some((target) => target?.field.endsWith("_date") === true || target?.field === "date_of_birth") && (
            <Labelled label="Days are written">
              <Choose
                label="Days are written"
                value={dateOrder}
                options={ORDERS}
                onChange={(value) => setDateOrder(value as DateOrder)}
              />
            </Labelled>
          )}
        </div>
      </Card>
      <MappingCard sheet={sheet} kind={kind} mapping={mapping} onMapping={setMapping} />
      <Outcome
        planned={planned}
        sheet={sheet}
        onStart={() => attempt(startImport(client, sheet, planned))}
        onClose={onClose}
      />
    </div>
  );
}

function Labelled({ label, children }: { label: string; children: React.ReactNode }) {
  return (
    <div className="flex flex-col gap-1">
      <span aria-hidden="true" className="text-sm text-ink-3">
        {label}
      </span>
      {children}
    </div>
  );
}

interface OutcomeProps {
  readonly planned: readonly Planned[];
  readonly sheet: Sheet;
  /** Absent: it was not begun. */
  readonly current?: Import;
  readonly onStart?: () => void;
  readonly onStop?: () => void;
  readonly onUndo?: () => void;
  readonly onClose: () => void;
}

const TITLES = { planned: "Preview", running: "Importing", ended: "Done", undoing: "Taking it back" } as const;

/** What would happen, what is happening, what happened. The numbers add up to the rows that were read. */
function Outcome({ planned, sheet, current, onStart, onStop, onUndo, onClose }: OutcomeProps) {
  const { phase, progress, run } = current ?? {};
  const counters = countersOf(planned);
  const refused = progress?.failed ?? [];
  const left = planned.flatMap(({ line, cells, plan }) =>
    plan.does === "create" ? [] : [{ line, cells, reason: plan.reason }],
  );
  const problems = [...left, ...refused].sort((a, b) => a.line - b.line);
  const save = (): void => {
    const rows = problems.map(({ line, cells, reason }) => [String(line), reason, ...cells]);
    download("not-imported.csv", "text/csv", writeCsv(["line", "reason", ...sheet.headers], rows));
  };
  const created = progress === undefined ? counters.created : progress.created;
  const figures = [
    ["Read", counters.read],
    [progress === undefined ? "Would be created" : "Created", created],
    ["Left out", counters.skipped],
    ["Failed", counters.failed + refused.length],
  ] as const;
  return (
    <Card title={TITLES[phase ?? "planned"]}>
      <dl className="grid grid-cols-2 gap-3 p-4 sm:grid-cols-4">
        {figures.map(([label, value]) => (
          <div key={label}>
            <dt className="text-sm text-ink-3">{label}</dt>
            <dd className="num text-xl font-semibold">{number(value)}</dd>
          </div>
        ))}
      </dl>
      {progress !== undefined && phase === "running" && (
        <>
          <progress
            aria-label="Progress"
            className="mx-4 mb-4 h-2 w-[calc(100%-2rem)] accent-accent"
            value={progress.done}
            max={Math.max(progress.total, 1)}
          />
          <p role="status" className="px-4 pb-4 text-ink-2">
            {progress.isWaiting
              ? `${number(WAITING_MAX)} changes wait to be sent, and more do not fit. It goes on by itself when the server is reached.`
              : "It goes on when you look at something else; this tab must stay open."}
          </p>
        </>
      )}
      {phase === "ended" && (
        <p className="px-4 pb-4 text-ink-2">
          What the server cannot accept comes to Rejected changes. It can be taken back until this page is closed or
          loaded anew.
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
          <Button onClick={onStop}>Stop here</Button>
        ) : (
          <>
            <Button
              disabled={phase === "undoing" || run === undefined}
              icon={<Undo2 className="size-4" />}
              onClick={onUndo}
            >
              Take it back
            </Button>
            <Button tone="primary" disabled={phase === "undoing"} onClick={onClose}>
              Done
            </Button>
          </>
        )}
      </div>
    </Card>
  );
}

/** Problems that are listed on the screen; all of them are in the file. */
const SHOWN_MAX = 8;
