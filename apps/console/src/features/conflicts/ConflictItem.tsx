import { Link } from "@tanstack/react-router";
import { GitCompareArrows } from "lucide-react";
import { Badge } from "../../components/Badge.tsx";
import { cx } from "../../components/cx.ts";
import { type Row, useById } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { labelOf, nounOf } from "../../data/schema.ts";
import { sentence } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import { sidesOf } from "./sides.ts";
import { useConflictNames } from "./useConflictNames.ts";
import { atMs, isOverdue } from "./work.ts";

const DECISIONS: Readonly<Record<string, string>> = {
  use_mine: "Theirs replaced",
  use_theirs: "Theirs kept",
  custom: "Combined",
};

interface ItemProps {
  readonly conflict: Row<"conflicts">;
  readonly nowMs: number;
  /** With a box to choose it for a decision about many. */
  readonly isChosen?: boolean;
  readonly onChoose?: () => void;
}

export function ConflictItem({ conflict, nowMs, isChosen = false, onChoose }: ItemProps) {
  const { fields } = conflict;
  const { userId } = useMe();
  const users = useById("users");
  const names = useConflictNames(conflict);
  const about = sidesOf(conflict).names.map(labelOf).join(", ");
  const isOpen = fields.state === "open";
  const decider = fields.assigned_to === userId ? "you" : users.get(fields.assigned_to ?? "")?.fields.name;
  const isLate = isOpen && isOverdue(fields.due_at, nowMs);
  const asked = [
    ...(decider === undefined ? [] : [`for ${decider}`]),
    ...(fields.due_at === undefined ? [] : [`${isLate ? "was due" : "due"} ${ago(fields.due_at, nowMs)}`]),
  ].join(", ");
  return (
    <div className="flex items-center hover:bg-hover">
      {onChoose !== undefined && (
        <input
          type="checkbox"
          aria-label={`Choose ${names.record}`}
          className="ml-4 size-4 shrink-0 accent-accent"
          checked={isChosen}
          onChange={onChoose}
        />
      )}
      <Link
        to="/conflicts/$id"
        params={{ id: conflict.id }}
        className="flex min-w-0 flex-1 items-center gap-4 px-4 py-3"
      >
        <GitCompareArrows
          aria-hidden="true"
          className={cx("size-5 shrink-0 max-sm:hidden", isOpen ? "text-warn" : "text-ink-3")}
        />
        <div className="min-w-0 flex-1">
          <div className="flex items-center gap-2">
            <span className="truncate font-medium">{names.record}</span>
            <span className="shrink-0 text-ink-3">{sentence(nounOf(names.entity))}</span>
          </div>
          <div className="truncate text-ink-2">
            {fields.kind === "delete_edit" ? "One side deleted what the other changed" : about} · {names.mine} and{" "}
            {names.theirs}
          </div>
          {isOpen && asked !== "" && (
            <div className={cx("truncate text-sm", isLate ? "font-medium text-bad" : "text-ink-3")}>
              {sentence(asked)}
            </div>
          )}
        </div>
        <div className="flex shrink-0 flex-col items-end gap-1">
          {isOpen ? (
            <Badge tone={isLate ? "bad" : "warn"}>{isLate ? "Overdue" : "Open"}</Badge>
          ) : (
            <Badge>
              {fields.state === "auto_resolved" ? "By rule" : (DECISIONS[fields.resolution ?? ""] ?? "Decided")}
            </Badge>
          )}
          <time className="text-xs text-ink-3">{ago(atMs(conflict), nowMs)}</time>
        </div>
      </Link>
    </div>
  );
}
