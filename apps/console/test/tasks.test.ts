import { describe, expect, it } from "vitest";
import type { Row } from "../src/data/live.ts";
import { groupTasks, isClosed } from "../src/features/tasks/groups.ts";
import { subjectOf } from "../src/features/tasks/subject.ts";

const ID = "0198c0de-0000-7000-8000-000000000001";

function task(fields: Row<"tasks">["fields"]): Row<"tasks"> {
  return { id: ID, rv: 1, state: "synced", fields: { title: "Call", ...fields } };
}

describe("what a task is about", () => {
  it.each([
    ["contact", "contacts"],
    ["lead", "leads"],
    ["opportunity", "opportunities"],
    ["company", "companies"],
  ] as const)("%s: a record of %s", (subject_type, entity) => {
    expect(subjectOf({ subject_type, subject_id: ID })).toEqual({ entity, id: ID });
  });

  it("is nothing unless both its kind and its id are known", () => {
    expect(subjectOf({})).toBeUndefined();
    expect(subjectOf({ subject_type: "lead" })).toBeUndefined();
    expect(subjectOf({ subject_id: ID })).toBeUndefined();
    expect(subjectOf({ subject_type: "invoice" as "lead", subject_id: ID })).toBeUndefined();
  });
});

it("a canceled task is closed like one that is done, however long ago it was due", () => {
  const dueLongAgo = { due_at: "2020-01-01T00:00:00.000Z" };
  const tasks = (["backlog", "todo", "in_progress", "canceled", "done"] as const).map((status) =>
    task({ status, ...dueLongAgo }),
  );
  expect(tasks.map(isClosed)).toEqual([false, false, false, true, true]);
  const groups = groupTasks(tasks, Date.parse("2026-01-01T00:00:00.000Z"));
  expect(groups.map(({ key, tasks: those }) => [key, those.length])).toEqual([
    ["late", 3],
    ["done", 2],
  ]);
});
