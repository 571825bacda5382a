/** Tasks by when they are due, as a person plans a day. Pure. */

import type { Row } from "../../data/live.ts";
import { createdMs } from "../../format/value.ts";

export interface TaskGroup {
  readonly key: "late" | "today" | "week" | "later" | "someday" | "done";
  readonly title: string;
  readonly tasks: readonly Row<"tasks">[];
}

const TITLES = {
  late: "Overdue",
  today: "Today",
  week: "Next seven days",
  later: "Later",
  someday: "Without a date",
  done: "Done",
} as const;

/** Nothing is to be done about it any more. */
export function isClosed({ fields: { status } }: Pick<Row<"tasks">, "fields">): boolean {
  return status === "done" || status === "canceled";
}

/** Groups in the order of their urgency, each by due time; empty ones are left out. `nowMs`: in the person's time zone. */
export function groupTasks(tasks: readonly Row<"tasks">[], nowMs: number): readonly TaskGroup[] {
  const endOfDay = new Date(nowMs).setHours(24, 0, 0, 0);
  const inAWeek = new Date(endOfDay).setDate(new Date(endOfDay).getDate() + 7);
  const groups: Record<TaskGroup["key"], Row<"tasks">[]> = {
    late: [],
    today: [],
    week: [],
    later: [],
    someday: [],
    done: [],
  };
  for (const task of tasks) {
    const { due_at } = task.fields;
    const dueMs = due_at === undefined ? undefined : Date.parse(due_at);
    if (isClosed(task)) {
      groups.done.push(task);
    } else if (dueMs === undefined) {
      groups.someday.push(task);
    } else {
      groups[dueMs < nowMs ? "late" : dueMs < endOfDay ? "today" : dueMs < inAWeek ? "week" : "later"].push(task);
    }
  }
  const order = (task: Row<"tasks">): number =>
    task.fields.due_at === undefined ? createdMs(task.id) : Date.parse(task.fields.due_at);
  return (Object.keys(TITLES) as TaskGroup["key"][])
    .map((key) => ({ key, title: TITLES[key], tasks: groups[key].sort((a, b) => order(a) - order(b)) }))
    .filter((group) => group.tasks.length > 0);
}
