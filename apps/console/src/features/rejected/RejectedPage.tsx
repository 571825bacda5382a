import type { Rejected } from "@syncline/sdk";
import { FileWarning, Send, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { Badge } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { Confirm } from "../../components/Dialog.tsx";
import { Page } from "../../components/Page.tsx";
import { Loading, Notice } from "../../components/States.tsx";
import { Switch } from "../../components/Switch.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { type EntityName, useClient } from "../../data/live.ts";
import { RANK_ADMIN, useMay, useMe } from "../../data/me.ts";
import { isEditable, labelOf, nounOf } from "../../data/schema.ts";
import { rereadStatus, useStatus } from "../../data/sync.ts";
import { counted, number, sentence } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import { useTitleOf } from "../record/useTitleOf.ts";
import { shownValue } from "../record/value.ts";
import { EditAndSend } from "./EditAndSend.tsx";
import { EverybodysRejected } from "./EverybodysRejected.tsx";
import { DEEDS } from "./words.ts";

/** What the server could not accept: one's own, and for administrators everybody's. */
export function RejectedPage() {
  const { rank } = useMe();
  const count = useStatus()?.rejected ?? 0;
  const [view, setView] = useState<"own" | "all">("own");
  return (
    <Page
      title="Rejected changes"
      aside={count > 0 && number(count)}
      {...(rank >= RANK_ADMIN && {
        tools: (
          <Switch
            label="Whose"
            value={view}
            options={[
              { value: "own", label: "On this device" },
              { value: "all", label: "Everybody’s" },
            ]}
            onChange={(next) => setView(next as "own" | "all")}
          />
        ),
      })}
    >
      {view === "own" ? <OwnRejected /> : <EverybodysRejected />}
    </Page>
  );
}

/** With their values: edited and sent again, or discarded. Nothing goes by itself. */
function OwnRejected() {
  const client = useClient();
  const count = useStatus()?.rejected ?? 0;
  const [held, setHeld] = useState<readonly Rejected[]>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the count says that the list has changed
  useEffect(() => {
    let isOpen = true;
    attempt(client.rejected().then((list) => isOpen && setHeld(list)));
    return () => {
      isOpen = false;
    };
  }, [client, count]);
  return held === undefined ? (
    <Loading what="rejected changes" />
  ) : held.length === 0 ? (
    <Notice icon={<FileWarning className="size-5" />} title="Nothing was rejected">
      When the server cannot accept a change, it comes here with its values. It is never dropped silently.
    </Notice>
  ) : (
    <div className="flex max-w-3xl flex-col gap-4">
      {held.map((rejected) => (
        <RejectedCard key={rejected.mutation.mutation_id} rejected={rejected} />
      ))}
    </div>
  );
}

function RejectedCard({ rejected: { mutation, outcome, authoredMs } }: { rejected: Rejected }) {
  const client = useClient();
  const may = useMay();
  const titleOf = useTitleOf();
  const [isEditing, setIsEditing] = useState(false);
  const [isDiscarding, setIsDiscarding] = useState(false);
  const [isBusy, once] = useBusy();
  const [op] = mutation.ops;
  if (op === undefined) {
    return null;
  }
  const entity = op.op === "resolve" ? "conflicts" : op.entity;
  const title = titleOf(entity, op.id);
  const values = "fields" in op ? (op.fields ?? {}) : {};
  const shown = Object.entries(values).filter(([name]) => op.op === "resolve" || isEditable(entity, name, "create"));
  // A decision is allowed by what it is about, which is not here.
  const canSend = mutation.ops.every(
    (each) => each.op === "resolve" || may(each.op === "restore" ? "delete" : each.op, each.entity),
  );
  const canEdit = canSend && (op.op === "create" || op.op === "update") && shown.length > 0;
  const again = async (): Promise<void> => {
    const sent = await client.resendRejected(mutation.client_seq, {});
    toast(sent.ok ? "Sent again" : sent.error.message);
  };
  const discard = async (): Promise<void> => {
    const done = await client.discardRejected(mutation.client_seq);
    if (!done.ok) {
      toast(done.error.message);
    }
    rereadStatus(client);
  };
  return (
    <article className="rounded-xl border bg-surface p-4 shadow-card">
      <header className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <h2 className="font-semibold">
          {DEEDS[op.op]} {nounOf(entity)}
          {title !== undefined && op.op !== "create" && ` “${title}”`}
        </h2>
        <Badge tone="bad">{sentence(outcome.code ?? "rejected")}</Badge>
        <time className="ml-auto text-ink-3">{ago(authoredMs, Date.now())}</time>
      </header>
      <p className="mt-1 text-bad">{outcome.detail ?? "The server gave no reason."}</p>
      {isEditing ? (
        <EditAndSend
          entity={entity as EntityName}
          id={op.id}
          values={Object.fromEntries(shown)}
          reason={outcome.detail ?? ""}
          isNew={op.op === "create"}
          clientSeq={mutation.client_seq}
          onDone={() => setIsEditing(false)}
        />
      ) : (
        <>
          <dl className="mt-3 grid grid-cols-1 gap-x-6 gap-y-1 sm:grid-cols-2">
            {shown.map(([name, value]) => (
              <div key={name} className="flex gap-2">
                <dt className="w-32 shrink-0 truncate text-ink-3">{labelOf(name)}</dt>
                <dd className="min-w-0 break-words">{shownValue(entity, name, value, { titleOf }) || "empty"}</dd>
              </div>
            ))}
          </dl>
          {mutation.ops.length > 1 && (
            <p className="mt-2 text-ink-3">
              And {counted(mutation.ops.length - 1, "more change that belongs to it", "more changes that belong to it")}
              .
            </p>
          )}
          <div className="mt-4 flex flex-wrap gap-2">
            {canEdit && (
              <Button tone="primary" onClick={() => setIsEditing(true)}>
                Edit and send
              </Button>
            )}
            {canSend && (
              <Button disabled={isBusy} icon={<Send className="size-4" />} onClick={() => once(again)}>
                Send again
              </Button>
            )}
            <Button tone="danger" icon={<Trash2 className="size-4" />} onClick={() => setIsDiscarding(true)}>
              Discard
            </Button>
          </div>
        </>
      )}
      <Confirm
        isOpen={isDiscarding}
        onClose={() => setIsDiscarding(false)}
        title="Discard this change?"
        deed="Discard"
        onConfirm={() => once(discard)}
      >
        Its values are deleted from this device. An administrator still finds them on the server.
      </Confirm>
    </article>
  );
}
