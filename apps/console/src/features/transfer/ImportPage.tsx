import { FileUp } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { cx } from "../../components/cx.ts";
import { Card, Page } from "../../components/Page.tsx";
import { Loading, Notice } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { fieldOf, mayImport } from "../../data/schema.ts";
import { counted, number } from "../../format/text.ts";
import { closeWork, type Import, pauseWork, startImport, stopWork, takeBack, useWork, type Work } from "./current.ts";
import { readSheet, type Sheet } from "./files.ts";
import type { KeptImport } from "./kept.ts";
import { MappingCard } from "./MappingCard.tsx";
import { guessMapping, type ImportKind, type Target } from "./mapping.ts";
import { Bar, Brakes, Outcome } from "./Outcome.tsx";
import { type DateOrder, guessNumberStyle, type NumberStyle, type OnMatch, planImport } from "./plan.ts";
import { Recent } from "./Recent.tsx";
import type { Undone } from "./run.ts";

/** A file, and the people who were here when it was read: those that the import itself brings are no duplicates of it. */
interface Taken {
  readonly sheet: Sheet;
  readonly known: readonly Row<"contacts">[];
}

/** A CSV file becomes leads or contacts: mapped, previewed, imported and, now or later, taken back. Needs no network. */
export function ImportPage() {
  const { role, rank } = useMe();
  if (mayImport(rank)) {
    return <Importing />;
  }
  return (
    <Page title="Import">
      {role === "" ? (
        <Loading what="your role" />
      ) : (
        <Notice icon={<FileUp className="size-5" />} title="You may not import">
          An import adds leads and contacts, and your role ({role}) does not allow that. An administrator can give you
          another one.
        </Notice>
      )}
    </Page>
  );
}

function Importing() {
  const client = useClient();
  const work = useWork();
  const [taken, setTaken] = useState<Taken>();
  const [error, setError] = useState("");
  const about = work === undefined ? taken?.sheet : work.phase === "undoing" ? undefined : work.sheet;
  const take = async (file: File | undefined): Promise<void> => {
    if (file !== undefined) {
      const read = await readSheet(file);
      setError(typeof read === "string" ? read : "");
      setTaken(typeof read === "string" ? undefined : { sheet: read, known: await client.select("contacts", {}) });
    }
  };
  const undo = async (kept: KeptImport): Promise<void> => {
    setTaken(undefined);
    const undone = await takeBack(client, kept);
    if (undone !== undefined) {
      sayUndone(undone);
    }
  };
  return (
    <Page title="Import" aside={about !== undefined && `${about.name} · ${counted(about.rows.length, "row")}`}>
      {work?.phase === "undoing" ? (
        <Undoing work={work} />
      ) : work !== undefined ? (
        <UnderWay current={work} onUndo={(kept) => attempt(undo(kept))} onClose={() => setTaken(undefined)} />
      ) : taken !== undefined ? (
        <Planning key={taken.sheet.name} {...taken} onClose={() => setTaken(undefined)} />
      ) : (
        <div className="flex max-w-4xl flex-col gap-4">
          <DropZone error={error} onFile={(file) => attempt(take(file))} />
          <Recent onUndo={(kept) => attempt(undo(kept))} />
        </div>
      )}
    </Page>
  );
}

function sayUndone({ kept, failed }: Undone): void {
  const detail = [
    ...(kept > 0 ? [`${counted(kept, "record")} stayed, because somebody has worked on them since.`] : []),
    ...(failed > 0 ? [`${counted(failed, "record")} could not be deleted.`] : []),
  ].join(" ");
  toast("The import was taken back", detail === "" ? {} : { detail });
}

/** An import that runs or has ended. It goes on when one looks at something else, and is here when one comes back. */
function UnderWay({
  current,
  onUndo,
  onClose,
}: {
  current: Import;
  onUndo: (kept: KeptImport) => void;
  onClose: () => void;
}) {
  const { kept } = current;
  return (
    <div className="max-w-4xl">
      <Outcome
        planned={current.planned}
        sheet={current.sheet}
        current={current}
        onPause={pauseWork}
        onStop={stopWork}
        onUndo={() => kept !== undefined && onUndo(kept)}
        onClose={() => {
          onClose();
          closeWork();
        }}
      />
    </div>
  );
}

/** An import that is being taken back. */
function Undoing({ work: { kept, progress, isPaused } }: { work: Extract<Work, { phase: "undoing" }> }) {
  return (
    <div className="max-w-4xl">
      <Card title={isPaused ? "Paused" : `Taking back ${kept.name}`}>
        <p role="status" className="p-4 text-ink-2">
          {progress.total === 0
            ? "Looking at what it made …"
            : `${number(progress.done)} of ${counted(progress.total, "row")} deleted. It goes on when you look at something else.`}
        </p>
        <Bar label="Progress" done={progress.done} total={progress.total} />
        <div className="flex justify-end gap-2 border-t p-3">
          <Brakes isPaused={isPaused} onPause={pauseWork} onStop={stopWork} />
        </div>
      </Card>
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
        "flex flex-col items-center gap-3 rounded-2xl border-2 border-dashed bg-surface px-6 py-14 text-center",
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

function Planning({ sheet, known, onClose }: Taken & { onClose: () => void }) {
  const client = useClient();
  const { userId } = useMe();
  const currency = useLive("workspaces").rows[0]?.fields.default_currency ?? "EUR";
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
    () => guessNumberStyle(sheet.rows.flatMap(({ cells }) => amounts.map((column) => cells[column] ?? ""))),
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
              className="w-auto"
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
