import { Fragment, type ReactNode } from "react";
import { cx } from "../../components/cx.ts";
import { attempt, toast } from "../../components/toast.tsx";
import { type Row, useById, useClient } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { sentence } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import { PendingMark, Priority } from "../leads/columns.tsx";
import { isClosed } from "./groups.ts";

interface TaskItemProps {
  readonly task: Row<"tasks">;
  /** Where the task stands beside others: which record it is about. */
  readonly about?: ReactNode;
  readonly onOpen: (id: string) => void;
}

/** A task with its box to tick; the rest of the line opens it. Done on any device is done. */
export function TaskItem({ task, about, onOpen }: TaskItemProps) {
  const client = useClient();
  const canTick = useMay()("update", "tasks", "status");
  const users = useById("users");
  const { title, status, due_at, assigned_to, priority } = task.fields;
  const isDone = status === "done";
  const isLate = !isClosed(task) && due_at !== undefined && Date.parse(due_at) < Date.now();
  const toggle = async (): Promise<void> => {
    const next = isDone ? "todo" : "done";
    const saved = await client.db.tasks.update(task.id, { status: next });
    if (!saved.ok) {
      toast(saved.error.message);
    } else if (next === "done") {
      toast("Task done", {
        action: { label: "Undo", run: () => attempt(client.db.tasks.update(task.id, { status: status ?? "todo" })) },
      });
    }
  };
  const notes: readonly (readonly [key: string, shown: ReactNode])[] = [
    ["status", (status === "canceled" || status === "in_progress") && sentence(status)],
    [
      "due",
      due_at !== undefined && (
        <span className={cx(isLate && "font-medium text-bad")}>
          {isLate ? "Was due" : "Due"} {ago(due_at, Date.now())}
        </span>
      ),
    ],
    ["about", about !== undefined && <span className="relative z-1">{about}</span>],
    ["person", users.get(assigned_to ?? "")?.fields.name ?? false],
  ];
  return (
    <div className="relative flex items-start gap-3 px-4 py-2.5 hover:bg-hover">
      <input
        type="checkbox"
        aria-label={`${title}: done`}
        checked={isDone}
        disabled={!canTick}
        onChange={() => attempt(toggle())}
        className="relative z-1 mt-0.5 size-4 accent-accent"
      />
      <div className="min-w-0 flex-1">
        <div className={cx("flex items-center gap-2", isClosed(task) && "text-ink-3 line-through")}>
          <button
            type="button"
            aria-haspopup="dialog"
            onClick={() => onOpen(task.id)}
            className="truncate text-left after:absolute after:inset-0"
          >
            {title}
          </button>
          {task.state === "pending" && <PendingMark />}
          {(priority === "high" || priority === "urgent") && !isClosed(task) && <Priority value={priority} />}
        </div>
        <div className="text-sm text-ink-3">
          {notes
            .filter(([, shown]) => shown !== false)
            .map(([key, shown], place) => (
              <Fragment key={key}>
                {place > 0 && " · "}
                {shown}
              </Fragment>
            ))}
        </div>
      </div>
    </div>
  );
}
