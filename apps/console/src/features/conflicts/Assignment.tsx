import { useId } from "react";
import { Choose } from "../../components/Choose.tsx";
import { attempt } from "../../components/toast.tsx";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { useMay, useMe } from "../../data/me.ts";
import { dateTime } from "../../format/value.ts";
import { inputText, typedValue } from "../record/value.ts";

/** Who decides a conflict, and by when. */
export function Assignment({ conflict }: { conflict: Row<"conflicts"> }) {
  const client = useClient();
  const { userId } = useMe();
  const canAsk = useMay()("update", "conflicts");
  const users = useLive("users", { sort: "name" }).rows;
  const dueId = useId();
  const { assigned_to = "", due_at } = conflict.fields;
  if (!canAsk) {
    const name = users.find(({ id }) => id === assigned_to)?.fields.name;
    return (
      <p className="text-ink-2">
        {name === undefined ? "Nobody was asked to decide this" : `${name} is asked to decide this`}
        {due_at !== undefined && ` by ${dateTime(due_at)}`}.
      </p>
    );
  }
  const people = users
    .map(({ id, fields }) => ({ value: id, label: id === userId ? "You" : (fields.name ?? "") }))
    .sort((a, b) => Number(b.value === userId) - Number(a.value === userId));
  return (
    <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
      <span className="flex items-center gap-2">
        <span aria-hidden="true" className="text-ink-3">
          Decided by
        </span>
        <Choose
          label="Who decides"
          none="Anybody"
          value={assigned_to}
          options={people}
          onChange={(user) =>
            attempt(client.db.conflicts.update(conflict.id, { assigned_to: user === "" ? null : user }))
          }
        />
      </span>
      <span className="flex items-center gap-2">
        <label htmlFor={dueId} className="text-ink-3">
          Due
        </label>
        <input
          id={dueId}
          type="datetime-local"
          className="control w-auto"
          value={inputText("conflicts", "due_at", due_at)}
          onChange={({ target }) => {
            // A date that is half typed reads as none.
            if (target.value === "" && due_at === undefined) {
              return;
            }
            const due = typedValue("conflicts", "due_at", target.value) as string | null;
            attempt(client.db.conflicts.update(conflict.id, { due_at: due }));
          }}
        />
      </span>
    </div>
  );
}
