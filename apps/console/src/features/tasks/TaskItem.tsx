import { cx } from "../../components/cx.ts";
import { attempt, toast } from "../../components/toast.tsx";
import { type Row, useById, useClient } from "../../data/live.ts";
import { ago } from "../../format/value.ts";
import { PendingMark } from "../leads/columns.tsx";

/** A task with its box to tick. Done on any device is done. */
export function TaskItem({ task, about }: { task: Row<"tasks">; about?: string | undefined }) {
  const client = useClient();
  const users = useById("users");
  const { title, status, due_at, assigned_to } = task.fields;
  const isDone = status === "done";
  const isLate = !isDone && due_at !== undefined && Date.parse(due_at) < Date.now();
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
  const person = users.get(assigned_to ?? "")?.fields.name;
  return (
    <div className="flex items-start gap-3 px-4 py-2.5">
      <input
        type="checkbox"
        aria-label={`${title}: done`}
        checked={isDone}
        onChange={() => attempt(toggle())}
        className="mt-0.5 size-4 accent-accent"
      />
      <div className="min-w-0 flex-1">
        <div className={cx("flex items-center gap-2", isDone && "text-ink-3 line-through")}>
          <span className="truncate">{title}</span>
          {task.state === "pending" && <PendingMark />}
        </div>
        <div className="text-sm text-ink-3">
          {due_at !== undefined && (
            <span className={cx(isLate && "font-medium text-bad")}>
              {isLate ? "Was due" : "Due"} {ago(due_at, Date.now())}
              {(about ?? person) !== undefined && " · "}
            </span>
          )}
          {[about, person].filter((part) => part !== undefined).join(" · ")}
        </div>
      </div>
    </div>
  );
}
