import { CheckCheck, GitCompareArrows } from "lucide-react";
import { useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Page } from "../../components/Page.tsx";
import { Notice } from "../../components/States.tsx";
import { Switch } from "../../components/Switch.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { useMay, useMe } from "../../data/me.ts";
import { counted, number } from "../../format/text.ts";
import { FirstCopy, useIsFirst } from "../sync/FirstCopy.tsx";
import { ConflictItem } from "./ConflictItem.tsx";
import { inOrder, isIn, VIEWS, type View } from "./work.ts";

/** Conflicts that are listed: of the open ones the next follow as these are decided, older decided ones are in the history of their record. */
const LISTED_MAX = 100;

const LABELS: Readonly<Record<View, string>> = { open: "Open", mine: "Mine", overdue: "Overdue", decided: "Decided" };
const EMPTY: Readonly<Record<View, readonly [title: string, text: string]>> = {
  open: [
    "Nothing to decide",
    "When two people change the same thing without seeing each other, and no rule decides, you find both sides here.",
  ],
  mine: ["Nothing for you to decide", "Conflicts that you are asked to decide, or in which one side is yours."],
  overdue: ["Nothing is late", "Conflicts that have not been decided when they were due."],
  decided: [
    "No conflict has been decided",
    "Each decision, also those that rules made, is listed here and can be taken back.",
  ],
};

export function ConflictsPage({ view, onView }: { view: View; onView: (view: View) => void }) {
  const { state, rows: all } = useLive("conflicts");
  // Who asked whom to decide is no record that people disagree about.
  const rows = all.filter(({ fields }) => fields.entity !== "conflicts");
  const { userId } = useMe();
  const may = useMay();
  const isFirst = useIsFirst();
  const [nowMs] = useState(() => Date.now());
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const those = (of: View) => rows.filter((conflict) => isIn(of, conflict, userId, nowMs));
  const shown = inOrder(those(view)).slice(0, LISTED_MAX);
  // Many are decided either way at once, and that a record is deleted takes more than changing it.
  const canDecide = ({ fields: { state: is, kind, entity = "" } }: Row<"conflicts">): boolean =>
    is === "open" && may("update", entity) && (kind !== "delete_edit" || may("delete", entity));
  const decidable = new Set(shown.filter(canDecide).map(({ id }) => id));
  const picked = [...decidable].filter((id) => chosen.has(id));
  const [title, text] = EMPTY[view];
  return (
    <Page
      title="Conflicts"
      aside={state === "ready" && `${number(those("open").length)} open`}
      tools={
        <div className="flex flex-wrap items-center gap-3">
          <Switch
            label="Which conflicts"
            value={view}
            options={VIEWS.map((each) => ({ value: each, label: LABELS[each], count: those(each).length }))}
            onChange={(each) => onView(each as View)}
          />
          {decidable.size > 1 && (
            <Bulk
              picked={picked}
              isAll={picked.length === decidable.size}
              onAll={(isAll) => setChosen(isAll ? decidable : new Set())}
            />
          )}
        </div>
      }
    >
      {state === "loading" || (rows.length === 0 && isFirst) ? (
        <FirstCopy what="conflicts" />
      ) : shown.length > 0 ? (
        <ul aria-label="Conflicts" className="divide-y overflow-hidden rounded-xl border bg-surface shadow-card">
          {shown.map((conflict) => (
            <li key={conflict.id}>
              <ConflictItem
                conflict={conflict}
                nowMs={nowMs}
                {...(decidable.size > 1 &&
                  decidable.has(conflict.id) && {
                    isChosen: chosen.has(conflict.id),
                    onChoose: () =>
                      setChosen((held) =>
                        held.has(conflict.id)
                          ? new Set([...held].filter((id) => id !== conflict.id))
                          : new Set([...held, conflict.id]),
                      ),
                  })}
              />
            </li>
          ))}
        </ul>
      ) : (
        <Notice
          icon={view === "decided" ? <GitCompareArrows className="size-5" /> : <CheckCheck className="size-5" />}
          title={title}
        >
          {text}
        </Notice>
      )}
    </Page>
  );
}

interface BulkProps {
  readonly picked: readonly string[];
  readonly isAll: boolean;
  readonly onAll: (isAll: boolean) => void;
}

/** Decides many the same way in one step; each is a decision of its own, so that one that fails keeps none of the others. */
function Bulk({ picked, isAll, onAll }: BulkProps) {
  const client = useClient();
  const [isBusy, once] = useBusy();
  const undo = async (ids: readonly string[]): Promise<void> => {
    for (const id of ids) {
      await client.undo(id);
    }
    toast(`${counted(ids.length, "decision")} taken back`);
  };
  const decide = async (resolution: "use_mine" | "use_theirs"): Promise<void> => {
    const decided: string[] = [];
    let failed = "";
    for (const id of picked) {
      const saved = await client.resolve(id, resolution);
      if (saved.ok) {
        decided.push(id);
      } else {
        failed = saved.error.message;
      }
    }
    onAll(false);
    toast(`${counted(decided.length, "conflict")} decided`, {
      ...(failed !== "" && { detail: `${picked.length - decided.length} not: ${failed}` }),
      ...(decided.length > 0 && { action: { label: "Undo", run: () => attempt(undo(decided)) } }),
    });
  };
  return (
    <div className="flex flex-wrap items-center gap-2">
      <label className="flex min-h-8.5 items-center gap-2 px-1 text-ink-2">
        <input
          type="checkbox"
          className="size-4 accent-accent"
          checked={isAll}
          onChange={({ target }) => onAll(target.checked)}
        />
        {picked.length === 0 ? "All" : `${number(picked.length)} chosen`}
      </label>
      {picked.length > 0 && (
        <>
          <Button disabled={isBusy} onClick={() => once(() => decide("use_theirs"))}>
            Keep what stands
          </Button>
          <Button disabled={isBusy} onClick={() => once(() => decide("use_mine"))}>
            Use the other side
          </Button>
        </>
      )}
    </div>
  );
}
