import { CheckSquare, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { Card, Page } from "../../components/Page.tsx";
import { Loading, Notice } from "../../components/States.tsx";
import { type Row, useLive } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { counted, number } from "../../format/text.ts";
import { CreateDialog } from "../record/CreateDialog.tsx";
import { useTitleOf } from "../record/useTitleOf.ts";
import { groupTasks } from "./groups.ts";
import { TaskItem } from "./TaskItem.tsx";

/** Tasks of one group that are shown at first; the rest on demand. */
const SHOWN_MAX = 50;
const ENTITIES: Readonly<Record<string, string>> = {
  contact: "contacts",
  lead: "leads",
  opportunity: "opportunities",
  company: "companies",
};

/** `whose`: a user, or empty for everybody's. */
export function TasksPage({ whose, onWhose }: { whose: string; onWhose: (user: string) => void }) {
  const { userId } = useMe();
  const { state, rows } = useLive("tasks");
  const users = useLive("users", { sort: "name" }).rows;
  const [isCreating, setIsCreating] = useState(false);
  const [nowMs] = useState(() => Date.now());
  const groups = useMemo(
    () => groupTasks(whose === "" ? rows : rows.filter(({ fields }) => fields.assigned_to === whose), nowMs),
    [rows, whose, nowMs],
  );
  const open = groups.reduce((sum, { key, tasks }) => sum + (key === "done" ? 0 : tasks.length), 0);
  return (
    <Page
      title="Tasks"
      aside={state === "ready" && `${number(open)} open`}
      actions={
        <Button tone="primary" data-create icon={<Plus className="size-4" />} onClick={() => setIsCreating(true)}>
          New task
        </Button>
      }
      tools={
        <Choose
          isFilter
          label="Whose"
          none="Everybody's"
          value={whose}
          options={[
            { value: userId, label: "Mine" },
            ...users
              .filter(({ id }) => id !== userId)
              .map(({ id, fields }) => ({ value: id, label: fields.name ?? "" })),
          ]}
          onChange={onWhose}
        />
      }
    >
      {state === "loading" ? (
        <Loading what="tasks" />
      ) : groups.length === 0 ? (
        <Notice
          icon={<CheckSquare className="size-5" />}
          title="Nothing to do"
          action={<Button onClick={() => setIsCreating(true)}>New task</Button>}
        >
          {whose === "" ? "There are no tasks." : "Nobody has asked anything of this person."}
        </Notice>
      ) : (
        <div className="flex max-w-3xl flex-col gap-4">
          {groups.map(({ key, title, tasks }) => (
            <TaskGroup key={key} title={title} tasks={tasks} />
          ))}
        </div>
      )}
      <CreateDialog
        entity="tasks"
        names={["title", "type", "due_at", "priority", "assigned_to", "description"]}
        isOpen={isCreating}
        onClose={() => setIsCreating(false)}
        defaults={{ assigned_to: userId, type: "todo", priority: "medium" }}
      />
    </Page>
  );
}

function TaskGroup({ title, tasks }: { title: string; tasks: readonly Row<"tasks">[] }) {
  const titleOf = useTitleOf();
  const [isWhole, setIsWhole] = useState(false);
  const shown = isWhole ? tasks : tasks.slice(0, SHOWN_MAX);
  return (
    <Card title={title}>
      <div className="divide-y">
        {shown.map((task) => {
          const { subject_type = "", subject_id } = task.fields;
          const about = subject_id === undefined ? undefined : titleOf(ENTITIES[subject_type] ?? "", subject_id);
          return <TaskItem key={task.id} task={task} about={about} />;
        })}
      </div>
      {shown.length < tasks.length && (
        <Button tone="quiet" className="m-2" onClick={() => setIsWhole(true)}>
          Show {counted(tasks.length - shown.length, "more task")}
        </Button>
      )}
    </Card>
  );
}
