import { Plus } from "lucide-react";
import { type FormEvent, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { useMay, useMe } from "../../data/me.ts";
import { useDraft } from "../record/useDraft.ts";
import { isClosed } from "./groups.ts";
import { TaskDialog } from "./TaskDialog.tsx";
import { TaskItem } from "./TaskItem.tsx";

type Subject = NonNullable<Row<"tasks">["fields"]["subject_type"]>;

/** Tasks about one record, and for those who may a line to add the next. */
export function TasksOf({ subject, id }: { subject: Subject; id: string }) {
  const client = useClient();
  const { userId } = useMe();
  const canAdd = useMay()("create", "tasks");
  const { rows } = useLive("tasks", { where: { subject_id: id } });
  const [{ title, due }, setTyped, forget] = useDraft(`task ${id}`, { title: "", due: "" });
  const [isBusy, once] = useBusy();
  const [error, setError] = useState("");
  const [opened, setOpened] = useState<string>();
  const add = async (): Promise<void> => {
    const saved = await client.db.tasks.create({
      title: title.trim(),
      subject_type: subject,
      subject_id: id,
      assigned_to: userId,
      ...(due !== "" && { due_at: new Date(due).toISOString() }),
    });
    setError(saved.ok ? "" : saved.error.message);
    if (saved.ok) {
      forget();
    }
  };
  const open = rows.filter((task) => !isClosed(task));
  const closed = rows.filter(isClosed);
  return (
    <div>
      {canAdd && (
        <form
          onSubmit={(event: FormEvent) => {
            event.preventDefault();
            once(add);
          }}
          className="flex flex-wrap gap-2 border-b p-3"
        >
          <input
            aria-label="New task"
            placeholder="What is to be done?"
            required
            maxLength={255}
            className="control w-auto min-w-40 flex-1"
            value={title}
            onChange={({ target }) => setTyped((held) => ({ ...held, title: target.value }))}
          />
          <input
            aria-label="Due"
            type="datetime-local"
            className="control w-auto"
            value={due}
            onChange={({ target }) => setTyped((held) => ({ ...held, due: target.value }))}
          />
          <Button type="submit" disabled={isBusy} icon={<Plus className="size-4" />}>
            Add
          </Button>
        </form>
      )}
      {error !== "" && (
        <p role="alert" className="px-4 py-2 text-bad">
          {error}
        </p>
      )}
      {rows.length === 0 && <p className="px-4 py-6 text-center text-ink-3">No task yet.</p>}
      <div className="divide-y">
        {[...open, ...closed].map((task) => (
          <TaskItem key={task.id} task={task} onOpen={setOpened} />
        ))}
      </div>
      {opened !== undefined && <TaskDialog key={opened} id={opened} onClose={() => setOpened(undefined)} />}
    </div>
  );
}
