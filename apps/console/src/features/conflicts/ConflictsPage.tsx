import { Link } from "@tanstack/react-router";
import { CheckCheck, GitCompareArrows } from "lucide-react";
import { Badge } from "../../components/Badge.tsx";
import { cx } from "../../components/cx.ts";
import { Page } from "../../components/Page.tsx";
import { Loading, Notice } from "../../components/States.tsx";
import { type Row, useLive } from "../../data/live.ts";
import { labelOf, nounOf } from "../../data/schema.ts";
import { number, sentence } from "../../format/text.ts";
import { ago, createdMs } from "../../format/value.ts";
import { sidesOf } from "./sides.ts";
import { useConflictNames } from "./useConflictNames.ts";

/** Conflicts that are listed: of the open ones the next follow as these are decided, older decided ones are in the history of their record. */
const LISTED_MAX = 100;

type View = "open" | "decided";

export function ConflictsPage({ view, onView }: { view: View; onView: (view: View) => void }) {
  const { state, rows } = useLive("conflicts");
  const newest = [...rows].sort((a, b) => atMs(b) - atMs(a));
  const open = newest.filter(({ fields }) => fields.state === "open");
  const decided = newest.filter(({ fields }) => fields.state !== "open");
  const shown = (view === "open" ? open : decided).slice(0, LISTED_MAX);
  return (
    <Page
      title="Conflicts"
      aside={state === "ready" && `${number(open.length)} open`}
      tools={
        <div role="group" aria-label="Which conflicts" className="inline-flex rounded-lg border bg-surface p-0.5">
          <Choice isOn={view === "open"} onChoose={() => onView("open")} label="Open" count={open.length} />
          <Choice isOn={view === "decided"} onChoose={() => onView("decided")} label="Decided" count={decided.length} />
        </div>
      }
    >
      {state === "loading" ? (
        <Loading what="conflicts" />
      ) : shown.length > 0 ? (
        <ul className="divide-y overflow-hidden rounded-xl border bg-surface shadow-card">
          {shown.map((conflict) => (
            <li key={conflict.id}>
              <ConflictItem conflict={conflict} />
            </li>
          ))}
        </ul>
      ) : view === "open" ? (
        <Notice icon={<CheckCheck className="size-5" />} title="Nothing to decide">
          When two people change the same thing without seeing each other, and no rule decides, you find both sides
          here.
        </Notice>
      ) : (
        <Notice icon={<GitCompareArrows className="size-5" />} title="No conflict has been decided">
          Each decision, also those that rules made, is listed here and can be taken back.
        </Notice>
      )}
    </Page>
  );
}

/** When it arose: when the server wrote it, else when its id was made. */
function atMs({ id, fields }: Row<"conflicts">): number {
  return fields.created_at === undefined ? createdMs(fields.mutation_id ?? id) : Date.parse(fields.created_at);
}

function Choice({
  isOn,
  onChoose,
  label,
  count,
}: {
  isOn: boolean;
  onChoose: () => void;
  label: string;
  count: number;
}) {
  return (
    <button
      type="button"
      aria-pressed={isOn}
      onClick={onChoose}
      className={cx(
        "flex items-center gap-1.5 rounded-md px-3 py-1 font-medium",
        isOn ? "bg-accent-soft text-accent" : "text-ink-2 hover:text-ink",
      )}
    >
      {label}
      <span className="num text-xs opacity-70">{number(count)}</span>
    </button>
  );
}

const DECISIONS: Readonly<Record<string, string>> = {
  use_mine: "Theirs replaced",
  use_theirs: "Theirs kept",
  custom: "Combined",
};

function ConflictItem({ conflict }: { conflict: Row<"conflicts"> }) {
  const { fields } = conflict;
  const names = useConflictNames(conflict);
  const about = sidesOf(conflict).names.map(labelOf).join(", ");
  const isOpen = fields.state === "open";
  return (
    <Link to="/conflicts/$id" params={{ id: conflict.id }} className="flex items-center gap-4 px-4 py-3 hover:bg-hover">
      <GitCompareArrows aria-hidden="true" className={cx("size-5 shrink-0", isOpen ? "text-warn" : "text-ink-3")} />
      <div className="min-w-0 flex-1">
        <div className="flex items-center gap-2">
          <span className="truncate font-medium">{names.record}</span>
          <span className="shrink-0 text-ink-3">{sentence(nounOf(names.entity))}</span>
        </div>
        <div className="truncate text-ink-2">
          {fields.kind === "delete_edit" ? "One side deleted what the other changed" : about} · {names.mine} and{" "}
          {names.theirs}
        </div>
      </div>
      <div className="flex shrink-0 flex-col items-end gap-1">
        {isOpen ? (
          <Badge tone="warn">Open</Badge>
        ) : (
          <Badge>
            {fields.state === "auto_resolved" ? "By rule" : (DECISIONS[fields.resolution ?? ""] ?? "Decided")}
          </Badge>
        )}
        <time className="text-xs text-ink-3">{ago(atMs(conflict), Date.now())}</time>
      </div>
    </Link>
  );
}
