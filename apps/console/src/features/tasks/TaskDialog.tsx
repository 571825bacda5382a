import { Trash2 } from "lucide-react";
import { useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Confirm, Dialog } from "../../components/Dialog.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { type Row, useClient, useRecord } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { nounOf } from "../../data/schema.ts";
import { sentence } from "../../format/text.ts";
import { OpenConflicts } from "../conflicts/OpenConflicts.tsx";
import { PendingMark } from "../leads/columns.tsx";
import { EditableField } from "../record/EditableField.tsx";
import { OthersHere, Presence } from "../record/presence.tsx";
import { useTitleOf } from "../record/useTitleOf.ts";
import { SubjectLink } from "./SubjectLink.tsx";
import { subjectOf } from "./subject.ts";

const FIELDS = ["title", "status", "due_at", "assigned_to", "priority", "type", "description"];

interface TaskDialogProps {
  readonly id: string;
  readonly onClose: () => void;
}

/** One task with all that it says: its fields are edited where they stand. */
export function TaskDialog({ id, onClose }: TaskDialogProps) {
  const client = useClient();
  const task = useRecord("tasks", id);
  const [isDeleting, setIsDeleting] = useState(false);
  if (task === undefined) {
    // Read in a moment: a window that changed its title at once would flicker.
    return null;
  }
  const title = task?.fields.title ?? "Task";
  const remove = async (): Promise<void> => {
    const saved = await client.mutate([{ edit: "delete", entity: "tasks", id }]);
    toast(saved.ok ? `${title} deleted` : saved.error.message, {
      ...(saved.ok && {
        action: {
          label: "Undo",
          run: () => attempt(client.mutate([{ edit: "restore", entity: "tasks", id, fields: {} }])),
        },
      }),
    });
  };
  if (isDeleting) {
    return (
      <Confirm
        isOpen
        onClose={() => setIsDeleting(false)}
        title={`Delete ${title}?`}
        deed="Delete"
        onConfirm={() => {
          // The window goes first: without its task it would say that there is none.
          onClose();
          attempt(remove());
        }}
      >
        It goes from every device. You can take it back right after.
      </Confirm>
    );
  }
  return (
    <Dialog
      isOpen
      onClose={onClose}
      title={title}
      {...(task !== null && { description: <About task={task} onFollow={onClose} /> })}
    >
      {task === null ? (
        <p className="text-ink-2">This task is not here any more: it was deleted, or you may not see it.</p>
      ) : (
        <TaskDetail task={task} onDelete={() => setIsDeleting(true)} />
      )}
    </Dialog>
  );
}

function About({ task, onFollow }: { task: Row<"tasks">; onFollow: () => void }) {
  const titleOf = useTitleOf();
  const subject = subjectOf(task.fields);
  if (subject === undefined) {
    return "About no record.";
  }
  const title = titleOf(subject.entity, subject.id);
  return (
    <>
      {sentence(nounOf(subject.entity))}:{" "}
      {title === undefined ? "not on this device" : <SubjectLink subject={subject} title={title} onFollow={onFollow} />}
    </>
  );
}

function TaskDetail({ task: { id, fields, state }, onDelete }: { task: Row<"tasks">; onDelete: () => void }) {
  const canDelete = useMay()("delete", "tasks");
  return (
    <Presence entity="tasks" id={id}>
      <div className="flex flex-col gap-3">
        <OthersHere />
        <OpenConflicts entity="tasks" id={id} />
        <div>
          {[...FIELDS, ...(fields.completed_at === undefined ? [] : ["completed_at"])].map((name) => (
            <EditableField key={name} entity="tasks" id={id} name={name} fields={{ ...fields }} />
          ))}
        </div>
        <div className="flex items-center justify-between gap-2">
          {canDelete && (
            <Button tone="danger" icon={<Trash2 className="size-4" />} onClick={onDelete}>
              Delete task
            </Button>
          )}
          {state === "pending" && <PendingMark />}
        </div>
      </div>
    </Presence>
  );
}
