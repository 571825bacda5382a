import { Link } from "@tanstack/react-router";
import { GitCompareArrows } from "lucide-react";
import { buttonClass } from "../../components/Button.tsx";
import { useLive } from "../../data/live.ts";
import { counted } from "../../format/text.ts";

/** Says on a record's page that two people disagree about it. */
export function OpenConflicts({ entity, id }: { entity: string; id: string }) {
  const { rows } = useLive("conflicts", { where: { record_id: id, state: "open" } });
  const about = rows.filter(({ fields }) => fields.entity === entity);
  const [first] = about;
  return first === undefined ? null : (
    <div role="status" className="flex flex-wrap items-center gap-3 rounded-xl border bg-warn-soft px-4 py-3 text-warn">
      <GitCompareArrows aria-hidden="true" className="size-5 shrink-0" />
      <span className="flex-1 font-medium">
        {counted(about.length, "conflict")} about this record {about.length === 1 ? "waits" : "wait"} for a decision.
      </span>
      <Link to="/conflicts/$id" params={{ id: first.id }} className={buttonClass()}>
        Review
      </Link>
    </div>
  );
}
