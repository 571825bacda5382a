import { CheckSquare, Plus } from "lucide-react";
import { useMemo, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { cx } from "../../components/cx.ts";
import { Page } from "../../components/Page.tsx";
import { Notice } from "../../components/States.tsx";
import { VirtualList } from "../../components/VirtualList.tsx";
import { type Row, useLive } from "../../data/live.ts";
import { useMay, useMe } from "../../data/me.ts";
import { number } from "../../format/text.ts";
import { CreateDialog } from "../record/CreateDialog.tsx";
import { useTitleOf } from "../record/useTitleOf.ts";
import { FirstCopy, useIsFirst } from "../sync/FirstCopy.tsx";
import { groupTasks, type TaskGroup } from "./groups.ts";
import { SubjectLink } from "./SubjectLink.tsx";
import { subjectOf } from "./subject.ts";
import { TaskDialog } from "./TaskDialog.tsx";
import { TaskItem } from "./TaskItem.tsx";

/** Height of a task that was not measured yet. */
const TASK_PX = 60;

/** `whose`: a user, or empty for everybody's. */
export function TasksPage({ whose, onWhose }: { whose: string; onWhose: (user: string) => void }) {
  const { userId } = useMe();
  const canCreate = useMay()("create", "tasks");
  const { state, rows } = useLive("tasks");
  const users = useLive("users", { sort: "name" }).rows;
  const isFirst = useIsFirst();
  const [isCreating, setIsCreating] = useState(false);
  const [opened, setOpened] = useState<string>();
  const [nowMs] = useState(() => Date.now());
  const groups = useMemo(
    () => groupTasks(whose === "" ? rows : rows.filter(({ fields }) => fields.assigned_to === whose), nowMs),
    [rows, whose, nowMs],
  );
  const lines = useMemo(() => linesOf(groups), [groups]);
  const open = groups.reduce((sum, { key, tasks }) => sum + (key === "done" ? 0 : tasks.length), 0);
  return (
    <Page
      title="Tasks"
      aside={state === "ready" && `${number(open)} open`}
      actions={
        canCreate && (
          <Button tone="primary" data-create icon={<Plus className="size-4" />} onClick={() => setIsCreating(true)}>
            New task
          </Button>
        )
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
      isFilled
    >
      {state === "loading" || (rows.length === 0 && isFirst) ? (
        <FirstCopy what="tasks" />
      ) : groups.length === 0 ? (
        <Notice
          icon={<CheckSquare className="size-5" />}
          title="Nothing to do"
          {...(canCreate && { action: <Button onClick={() => setIsCreating(true)}>New task</Button> })}
        >
          {whose === "" ? "There are no tasks." : "Nobody has asked anything of this person."}
        </Notice>
      ) : (
        <VirtualList
          label="Tasks"
          items={lines}
          keyOf={({ key }) => key}
          render={(line) =>
            line.kind === "title" ? <GroupTitle {...line} /> : <TaskLine {...line} onOpen={setOpened} />
          }
          estimatePx={TASK_PX}
          className="min-h-0 flex-1 overflow-y-auto px-4 pb-8 sm:px-6"
        />
      )}
      <CreateDialog
        entity="tasks"
        names={["title", "type", "due_at", "priority", "assigned_to", "description"]}
        isOpen={isCreating}
        onClose={() => setIsCreating(false)}
        defaults={{ assigned_to: userId, type: "todo", priority: "medium" }}
      />
      {opened !== undefined && <TaskDialog key={opened} id={opened} onClose={() => setOpened(undefined)} />}
    </Page>
  );
}

type Line =
  | { readonly kind: "title"; readonly key: string; readonly title: string; readonly count: number }
  | { readonly kind: "task"; readonly key: string; readonly task: Row<"tasks">; readonly isLast: boolean };

/** Groups one below the other, a line each for their titles and tasks. */
function linesOf(groups: readonly TaskGroup[]): readonly Line[] {
  return groups.flatMap(({ key, title, tasks }): Line[] => [
    { kind: "title", key, title, count: tasks.length },
    ...tasks.map((task, place): Line => ({ kind: "task", key: task.id, task, isLast: place === tasks.length - 1 })),
  ]);
}

function GroupTitle({ title, count }: Line & { readonly kind: "title" }) {
  return (
    <div className="max-w-3xl">
      <h2 className="flex min-h-11 items-center gap-2 rounded-t-xl border bg-surface px-4 font-semibold">
        {title}
        <span className="num font-normal text-ink-3">{number(count)}</span>
      </h2>
    </div>
  );
}

interface TaskLineProps {
  readonly task: Row<"tasks">;
  readonly isLast: boolean;
  readonly onOpen: (id: string) => void;
}

function TaskLine({ task, isLast, onOpen }: TaskLineProps) {
  const titleOf = useTitleOf();
  const subject = subjectOf(task.fields);
  const title = subject && titleOf(subject.entity, subject.id);
  return (
    <div className={cx("max-w-3xl", isLast && "pb-4")}>
      <div className={cx("overflow-hidden border-x border-b bg-surface", isLast && "rounded-b-xl")}>
        <TaskItem
          task={task}
          onOpen={onOpen}
          {...(subject !== undefined &&
            title !== undefined && { about: <SubjectLink subject={subject} title={title} /> })}
        />
      </div>
    </div>
  );
}
