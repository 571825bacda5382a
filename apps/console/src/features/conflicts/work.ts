/** Which conflicts somebody has to decide, and which are late. Pure. */

import type { Row } from "../../data/live.ts";
import { createdMs } from "../../format/value.ts";

export const VIEWS = ["open", "mine", "overdue", "decided"] as const;
export type View = (typeof VIEWS)[number];

export function viewOf(word: string): View {
  return VIEWS.find((view) => view === word) ?? "open";
}

/** Whether a conflict is listed in a view. Mine: I was asked, or nobody was and one side of it is mine. */
export function isIn(view: View, { fields }: Row<"conflicts">, userId: string, nowMs: number): boolean {
  const isOpen = fields.state === "open";
  switch (view) {
    case "open":
      return isOpen;
    case "mine":
      return (
        isOpen &&
        (fields.assigned_to === undefined
          ? [fields.mine_user, fields.theirs_user].includes(userId)
          : fields.assigned_to === userId)
      );
    case "overdue":
      return isOpen && isOverdue(fields.due_at, nowMs);
    case "decided":
      return !isOpen;
  }
}

export function isOverdue(due: string | undefined, nowMs: number): boolean {
  return due !== undefined && Date.parse(due) < nowMs;
}

/** Open ones: what is due first comes first, then the newest. Decided ones: the newest. */
export function inOrder(conflicts: readonly Row<"conflicts">[]): readonly Row<"conflicts">[] {
  const due = ({ fields }: Row<"conflicts">): number =>
    fields.state !== "open" || fields.due_at === undefined ? Number.POSITIVE_INFINITY : Date.parse(fields.due_at);
  return [...conflicts].sort((a, b) => (due(a) === due(b) ? atMs(b) - atMs(a) : due(a) - due(b)));
}

/** When it arose: when the server wrote it, else when its id was made. */
export function atMs({ id, fields }: Row<"conflicts">): number {
  return fields.created_at === undefined ? createdMs(fields.mutation_id ?? id) : Date.parse(fields.created_at);
}
