/** What the whole record will be when a conflict is decided so, before it is. */

import type { Fields, Result } from "@syncline/sdk";
import type { Preview } from "@syncline/sdk/foresee";
import { TriangleAlert } from "lucide-react";
import { cx } from "../../components/cx.ts";
import { Card } from "../../components/Page.tsx";
import { entityOf, isEditable, labelOf, nounOf } from "../../data/schema.ts";
import { complaint } from "../record/value.ts";

interface AfterwardsProps {
  readonly entity: string;
  readonly preview: Result<Preview, { readonly field: string; readonly message: string }>;
  readonly shown: (name: string, side: Fields) => string;
}

export function Afterwards({ entity, preview, shown }: AfterwardsProps) {
  if (!preview.ok) {
    return (
      <p role="alert" className="flex items-start gap-2 rounded-xl border bg-bad-soft px-4 py-3 text-bad">
        <TriangleAlert aria-hidden="true" className="mt-0.5 size-4 shrink-0" />
        The server would refuse this: {complaint(preview.error.field, preview.error.message)}
      </p>
    );
  }
  const { becomes } = preview.value;
  if (becomes === "deleted") {
    return <p className="rounded-xl border bg-surface px-4 py-3">The {nounOf(entity)} is deleted afterwards.</p>;
  }
  const { fields } = preview.value;
  const changed = new Set(becomes === "unchanged" ? [] : preview.value.changes.map(({ field }) => field));
  const names = [...entityOf(entity).fields.keys()].filter(
    (name) => changed.has(name) || (fields[name] !== undefined && isEditable(entity, name, "update")),
  );
  return (
    <Card title={`The ${nounOf(entity)} afterwards`}>
      <dl className="grid grid-cols-1 gap-x-8 gap-y-1.5 p-4 sm:grid-cols-2">
        {names.map((name) => (
          <div key={name} className="flex min-w-0 gap-3">
            <dt className="w-32 shrink-0 truncate text-ink-3">{labelOf(name)}</dt>
            <dd className={cx("min-w-0 break-words", changed.has(name) && "font-semibold text-accent")}>
              {shown(name, fields)}
              {changed.has(name) && <span className="sr-only"> (changes)</span>}
            </dd>
          </div>
        ))}
      </dl>
      <p className="border-t px-4 py-2.5 text-ink-3">
        {becomes === "restored"
          ? `It is deleted now, and comes back.`
          : becomes === "unchanged"
            ? "Nothing changes: this is what stands."
            : "What changes is emphasised."}
      </p>
    </Card>
  );
}
