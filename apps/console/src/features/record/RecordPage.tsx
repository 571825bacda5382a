/** The frame of one record's page: where one came from, what it is, and what is not there. */

import { Link, useRouter } from "@tanstack/react-router";
import { Archive, ArchiveRestore, ArrowLeft, Ellipsis, FileX, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Avatar } from "../../components/Avatar.tsx";
import { Badge } from "../../components/Badge.tsx";
import { Button, buttonClass } from "../../components/Button.tsx";
import { Confirm } from "../../components/Dialog.tsx";
import { Menu, type MenuEntry } from "../../components/Menu.tsx";
import { Notice } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { useTitle } from "../../components/useTitle.ts";
import { useRemote } from "../../data/api.ts";
import { type EntityName, useById, useClient } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { nounOf } from "../../data/schema.ts";
import { ago } from "../../format/value.ts";
import type { HistoryItem } from "../history/versions.ts";
import { PendingMark } from "../leads/columns.tsx";
import { OthersHere, Presence } from "./presence.tsx";

interface RecordPageProps {
  readonly entity: EntityName;
  readonly id: string;
  readonly name: string;
  readonly isPending: boolean;
  /** Put away, but kept; absent: records of this entity are not put away. */
  readonly isArchived?: boolean;
  readonly subtitle?: ReactNode;
  readonly highlights?: ReactNode;
  readonly children: ReactNode;
  readonly side: ReactNode;
  readonly backTo: string;
}

export function RecordPage({
  entity,
  id,
  name,
  isPending,
  isArchived,
  subtitle,
  highlights,
  children,
  side,
  backTo,
}: RecordPageProps) {
  const client = useClient();
  const router = useRouter();
  const may = useMay();
  const [isDeleting, setIsDeleting] = useState(false);
  useTitle(name);
  const remove = async (): Promise<void> => {
    const saved = await client.mutate([{ edit: "delete", entity, id }]);
    if (!saved.ok) {
      toast(saved.error.message);
      return;
    }
    router.history.push(backTo);
    toast(`${name} deleted`, {
      action: { label: "Undo", run: () => attempt(client.mutate([{ edit: "restore", entity, id, fields: {} }])) },
    });
  };
  const archive = async (to: boolean): Promise<void> => {
    const set = (is_archived: boolean) => client.mutate([{ edit: "update", entity, id, fields: { is_archived } }]);
    const saved = await set(to);
    toast(saved.ok ? `${name} ${to ? "archived" : "is among the others again"}` : saved.error.message, {
      ...(saved.ok && { action: { label: "Undo", run: () => attempt(set(!to)) } }),
    });
  };
  const entries: readonly MenuEntry[] = [
    ...(isArchived === undefined || !may("update", entity, "is_archived")
      ? []
      : [
          {
            label: isArchived ? "Take out of the archive" : `Archive ${nounOf(entity)}`,
            icon: isArchived ? <ArchiveRestore className="size-4" /> : <Archive className="size-4" />,
            onSelect: () => attempt(archive(!isArchived)),
          },
        ]),
    ...(may("delete", entity)
      ? [
          {
            label: `Delete ${nounOf(entity)}`,
            icon: <Trash2 className="size-4" />,
            isDanger: true,
            onSelect: () => setIsDeleting(true),
          },
        ]
      : []),
  ];
  return (
    <Presence entity={entity} id={id}>
      <div className="h-full overflow-y-auto">
        <div className="mx-auto max-w-6xl px-4 pt-3 pb-10 sm:px-6">
          <div className="flex items-center justify-between">
            <Link to={backTo} className={buttonClass("quiet")}>
              <ArrowLeft aria-hidden="true" className="size-4" />
              Back
            </Link>
            {entries.length > 0 && (
              <Menu
                trigger={
                  <Button tone="quiet" aria-label={`More about ${name}`} icon={<Ellipsis className="size-4" />} />
                }
                entries={entries}
              />
            )}
          </div>
          <header className="mt-1 mb-4 flex flex-wrap items-center gap-x-4 gap-y-3">
            <Avatar name={name} isLarge />
            <div className="min-w-0 flex-1 basis-52">
              <h1 className="flex items-center gap-2 text-xl font-semibold tracking-tight">
                <span className="truncate">{name}</span>
                {isPending && <PendingMark />}
                {isArchived === true && <Badge tone="neutral">Archived</Badge>}
              </h1>
              <div className="truncate text-ink-2">{subtitle}</div>
            </div>
            {highlights}
          </header>
          <div className="grid grid-cols-1 items-start gap-4 lg:grid-cols-[minmax(0,1fr)_23rem]">
            <div className="flex min-w-0 flex-col gap-4 max-lg:order-2">
              <OthersHere />
              {children}
            </div>
            <aside className="flex min-w-0 flex-col gap-4">{side}</aside>
          </div>
        </div>
        <Confirm
          isOpen={isDeleting}
          onClose={() => setIsDeleting(false)}
          title={`Delete ${name}?`}
          deed="Delete"
          onConfirm={() => attempt(remove())}
        >
          It goes from every device{entity === "contacts" && ", with its leads and what is written about them"}. You can
          take it back right after.
        </Confirm>
      </div>
    </Presence>
  );
}

/**
 * There is no such record here: deleted, or of a scope that this person does not see. One that the server knows as deleted can be
 * brought back, and its history read.
 */
export function NoRecord({ entity, id, backTo }: { entity: EntityName; id?: string; backTo: string }) {
  const back = (
    <Link to={backTo} className={buttonClass()}>
      Back to the list
    </Link>
  );
  return id === undefined ? (
    <Gone entity={entity} actions={back} />
  ) : (
    <MaybeDeleted entity={entity} id={id} back={back} />
  );
}

function MaybeDeleted({ entity, id, back }: { entity: EntityName; id: string; back: ReactNode }) {
  const client = useClient();
  const users = useById("users");
  const [isBusy, once] = useBusy();
  const canRestore = useMay()("delete", entity);
  const { remote } = useRemote<{ readonly items: readonly HistoryItem[] }>(
    `/api/sync/history/${entity}/${encodeURIComponent(id)}?limit=1`,
  );
  const [last] = remote.state === "ready" ? remote.data.items : [];
  if (last?.kind !== "del") {
    return <Gone entity={entity} actions={back} />;
  }
  const restore = async (): Promise<void> => {
    const saved = await client.mutate([{ edit: "restore", entity, id, fields: {} }]);
    toast(saved.ok ? "It comes back in a moment" : saved.error.message);
  };
  return (
    <Notice
      icon={<FileX className="size-5" />}
      title={`This ${nounOf(entity)} was deleted`}
      action={
        <>
          {canRestore && (
            <Button tone="primary" disabled={isBusy} onClick={() => once(restore)}>
              Bring it back
            </Button>
          )}
          {back}
        </>
      }
    >
      {users.get(last.user_id)?.fields.name ?? "The server"} deleted it {ago(last.authored_ms, Date.now())}.
      {canRestore && " It comes back as it was then."}
    </Notice>
  );
}

function Gone({ entity, actions }: { entity: string; actions: ReactNode }) {
  return (
    <Notice icon={<FileX className="size-5" />} title={`This ${nounOf(entity)} is not here`} action={actions}>
      It was deleted, you may not see it, or this device has not loaded it yet.
    </Notice>
  );
}
