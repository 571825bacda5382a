import type { Json } from "@syncline/sdk";
import { RotateCcw } from "lucide-react";
import { useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Confirm } from "../../components/Dialog.tsx";
import { Failed, Loading } from "../../components/States.tsx";
import { toast } from "../../components/toast.tsx";
import { useRemote } from "../../data/api.ts";
import { type EntityName, useById, useClient } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { labelOf } from "../../data/schema.ts";
import { counted } from "../../format/text.ts";
import { ago, dateTime } from "../../format/value.ts";
import { useTitleOf } from "../record/useTitleOf.ts";
import { isMoney, shownValue } from "../record/value.ts";
import { CHANGED, CREATED, changedFields, currenciesAt, deedOf, type HistoryItem, restoring } from "./versions.ts";

interface HistoryProps {
  readonly entity: EntityName;
  readonly id: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Who changed what, newest first, with the way back to each version. The server has it, this device does not. */
export function HistoryCard({ entity, id, fields }: HistoryProps) {
  const client = useClient();
  const canRestore = useMay()("update", entity);
  const users = useById("users");
  const [limit, setLimit] = useState(PAGE);
  const { remote, reload } = useRemote<{ readonly items: readonly HistoryItem[] }>(
    `/api/sync/history/${entity}/${id}?limit=${limit}`,
  );
  const [chosen, setChosen] = useState<number>();
  if (remote.state === "loading") {
    return <Loading what="the history" />;
  }
  if (remote.state === "failed") {
    return <Failed error={remote.error} onRetry={() => void reload()} />;
  }
  const { items } = remote.data;
  const current = fields as Readonly<Record<string, Json | undefined>>;
  const changes = chosen === undefined ? {} : restoring(entity, current, items, chosen);
  const count = Object.keys(changes).length;
  const restore = async (): Promise<void> => {
    const saved = await client.mutate([{ edit: "update", entity, id, fields: changes }]);
    toast(saved.ok ? `${counted(count, "field")} restored` : saved.error.message);
    if (saved.ok) {
      setTimeout(() => void reload(), RELOAD_AFTER_MS);
    }
  };
  return (
    <>
      <ol className="relative flex flex-col">
        {items.map((item, index) => (
          <li key={item.seq} className="relative border-l-2 pb-5 pl-5 last:pb-1">
            <span aria-hidden="true" className="absolute top-1.5 -left-[5px] size-2 rounded-full bg-line-strong" />
            <div className="flex flex-wrap items-baseline gap-x-2">
              <span className="font-medium">{users.get(item.user_id)?.fields.name ?? "The server"}</span>
              <span className="text-ink-2">{deedOf(items, index)}</span>
              <time className="text-ink-3" title={dateTime(item.authored_ms)}>
                {ago(item.authored_ms, Date.now())}
              </time>
              {canRestore &&
                index > 0 &&
                item.kind !== "del" &&
                Object.keys(restoring(entity, current, items, index)).length > 0 && (
                  <Button
                    tone="quiet"
                    className="ml-auto"
                    icon={<RotateCcw className="size-3.5" />}
                    onClick={() => setChosen(index)}
                  >
                    Restore
                  </Button>
                )}
            </div>
            <Changes entity={entity} items={items} index={index} currency={current.currency} />
          </li>
        ))}
      </ol>
      {items.length === limit && limit < HISTORY_MAX && (
        <Button tone="quiet" onClick={() => setLimit((held) => Math.min(held + PAGE, HISTORY_MAX))}>
          Show older
        </Button>
      )}
      {items.length === HISTORY_MAX && <p className="text-ink-3">Older changes are in the audit log of the server.</p>}
      <Confirm
        isOpen={chosen !== undefined}
        onClose={() => setChosen(undefined)}
        title="Restore this version?"
        deed="Restore"
        onConfirm={() => void restore()}
      >
        {counted(count, "field")} will be as {count === 1 ? "it was" : "they were"} then:{" "}
        {Object.keys(changes).map(labelOf).join(", ")}. The history keeps what is there now.
      </Confirm>
    </>
  );
}

/** Changes that are shown at first, and more of them at a time; the most that the server tells. */
const PAGE = 50;
const HISTORY_MAX = 500;

/** A restored version reaches the server's history within moments. */
const RELOAD_AFTER_MS = 800;

interface ChangesProps {
  readonly entity: EntityName;
  readonly items: readonly HistoryItem[];
  readonly index: number;
  /** Of the record as it is now. */
  readonly currency: Json | undefined;
}

/** What one change did: the values of a new record, what was and what is of one that was there. */
function Changes({ entity, items, index, currency }: ChangesProps) {
  const titleOf = useTitleOf();
  const item = items[index];
  const deed = deedOf(items, index);
  if (item === undefined || (deed !== CHANGED && deed !== CREATED)) {
    return null;
  }
  const { before, after } = currenciesAt(currency, items, index);
  const shown = (name: string, value: Json | undefined, of: string | undefined): string =>
    shownValue(entity, name, value, { titleOf, currency: isMoney(name) ? of : undefined });
  const values = changedFields(entity, item).map((name) => ({
    name,
    was: shown(name, item.before[name], before),
    is: shown(name, item.fields[name], after),
  }));
  return (
    <dl className="mt-1 flex flex-col gap-0.5">
      {values
        .filter(({ is }) => deed === CHANGED || is !== "")
        .map(({ name, was, is }) => (
          <div key={name} className="flex flex-wrap gap-x-2">
            <dt className="text-ink-3">{labelOf(name)}</dt>
            <dd className="min-w-0 break-words">
              {deed === CHANGED && (
                <>
                  <del className={was === "" ? "text-ink-3 no-underline" : "text-ink-3"}>{was || "empty"}</del>
                  <span aria-hidden="true"> → </span>
                </>
              )}
              <span className={is === "" ? "text-ink-3" : ""}>{is || "empty"}</span>
            </dd>
          </div>
        ))}
    </dl>
  );
}
