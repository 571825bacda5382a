import type { Json } from "@syncline/sdk";
import { FileWarning } from "lucide-react";
import { PersonName } from "../../components/Avatar.tsx";
import { Badge } from "../../components/Badge.tsx";
import { Failed, Loading, Notice } from "../../components/States.tsx";
import { attempt } from "../../components/toast.tsx";
import { useRemote } from "../../data/api.ts";
import { useById } from "../../data/live.ts";
import { entityOf, isEditable, labelOf, nounOf } from "../../data/schema.ts";
import { sentence } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import { useTitleOf } from "../record/useTitleOf.ts";
import { inWords, shownValue } from "../record/value.ts";
import { DEEDS } from "./words.ts";

interface Kept {
  readonly user_id: string;
  readonly client_id: string;
  readonly decided_ms: number;
  readonly outcome: { readonly mutation_id: string; readonly code?: string; readonly detail?: string };
  readonly rejected?: {
    readonly ops: readonly {
      readonly op: string;
      readonly entity?: string;
      readonly id: string;
      readonly fields?: Readonly<Record<string, Json>>;
    }[];
  };
}

const LISTED_MAX = 200;

/** The server's own copy of what it refused, also of devices that are gone: an administrator sees whose work is stuck, and why. */
export function EverybodysRejected() {
  const { remote, reload } = useRemote<{ readonly items: readonly Kept[] }>(`/api/admin/rejected?limit=${LISTED_MAX}`);
  if (remote.state === "loading") {
    return <Loading what="rejected changes" />;
  }
  if (remote.state === "failed") {
    return <Failed error={remote.error} onRetry={() => attempt(reload())} />;
  }
  return remote.data.items.length === 0 ? (
    <Notice icon={<FileWarning className="size-5" />} title="Nothing was rejected">
      What the server refuses of anybody is kept here with its values, until its time is over.
    </Notice>
  ) : (
    <div className="flex max-w-3xl flex-col gap-4">
      {remote.data.items.map((kept) => (
        <KeptCard key={kept.outcome.mutation_id} kept={kept} />
      ))}
    </div>
  );
}

function KeptCard({ kept: { user_id, decided_ms, outcome, rejected } }: { kept: Kept }) {
  const users = useById("users");
  const titleOf = useTitleOf();
  const [op] = rejected?.ops ?? [];
  const entity = op === undefined ? "leads" : op.op === "resolve" ? "conflicts" : (op.entity ?? "leads");
  const title = op === undefined ? undefined : titleOf(entity, op.id);
  const values = Object.entries(op?.fields ?? {}).filter(
    ([name]) => entityOf(entity).fields.has(name) && isEditable(entity, name, "create"),
  );
  return (
    <article className="rounded-xl border bg-surface p-4 shadow-card">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h2 className="font-semibold">
          {op === undefined ? "A change" : `${DEEDS[op.op] ?? sentence(op.op)} ${nounOf(entity)}`}
          {title !== undefined && op?.op !== "create" && ` “${title}”`}
        </h2>
        <Badge tone="bad">{sentence(outcome.code ?? "rejected")}</Badge>
        <time className="ml-auto text-ink-3">{ago(decided_ms, Date.now())}</time>
      </header>
      <div className="mt-1.5">
        <PersonName name={users.get(user_id)?.fields.name ?? "Former member"} />
      </div>
      <p className="mt-1.5 text-bad">{outcome.detail ?? "The server gave no reason."}</p>
      <dl className="mt-3 grid grid-cols-1 gap-x-6 gap-y-1 sm:grid-cols-2">
        {values.map(([name, value]) => (
          <div key={name} className="flex gap-2">
            <dt className="w-32 shrink-0 truncate text-ink-3">{labelOf(name)}</dt>
            <dd className="min-w-0 break-words">
              {typeof value === "object" && value !== null && !Array.isArray(value)
                ? inWords(value)
                : shownValue(entity, name, value, { titleOf }) || "empty"}
            </dd>
          </div>
        ))}
      </dl>
    </article>
  );
}
