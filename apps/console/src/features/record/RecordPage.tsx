/** The frame of one record's page: where one came from, what it is, and what is not there. */

import { Link, useRouter } from "@tanstack/react-router";
import { ArrowLeft, Ellipsis, FileX, Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Avatar } from "../../components/Avatar.tsx";
import { Button, buttonClass } from "../../components/Button.tsx";
import { Confirm } from "../../components/Dialog.tsx";
import { Menu } from "../../components/Menu.tsx";
import { Notice } from "../../components/States.tsx";
import { toast } from "../../components/toast.tsx";
import { type EntityName, useClient } from "../../data/live.ts";
import { nounOf } from "../../data/schema.ts";
import { PendingMark } from "../leads/columns.tsx";

interface RecordPageProps {
  readonly entity: EntityName;
  readonly id: string;
  readonly name: string;
  readonly isPending: boolean;
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
  subtitle,
  highlights,
  children,
  side,
  backTo,
}: RecordPageProps) {
  const client = useClient();
  const router = useRouter();
  const [isDeleting, setIsDeleting] = useState(false);
  const remove = async (): Promise<void> => {
    const saved = await client.mutate([{ edit: "delete", entity, id }]);
    if (!saved.ok) {
      toast(saved.error.message);
      return;
    }
    router.history.push(backTo);
    toast(`${name} deleted`, {
      action: { label: "Undo", run: () => void client.mutate([{ edit: "restore", entity, id, fields: {} }]) },
    });
  };
  return (
    <div className="h-full overflow-y-auto">
      <div className="mx-auto max-w-6xl px-4 pt-3 pb-10 sm:px-6">
        <div className="flex items-center justify-between">
          <Link to={backTo} className={buttonClass("quiet")}>
            <ArrowLeft aria-hidden="true" className="size-4" />
            Back
          </Link>
          <Menu
            trigger={<Button tone="quiet" aria-label={`More about ${name}`} icon={<Ellipsis className="size-4" />} />}
            entries={[
              {
                label: `Delete ${nounOf(entity)}`,
                icon: <Trash2 className="size-4" />,
                isDanger: true,
                onSelect: () => setIsDeleting(true),
              },
            ]}
          />
        </div>
        <header className="mt-1 mb-4 flex flex-wrap items-center gap-x-4 gap-y-3">
          <Avatar name={name} isLarge />
          <div className="min-w-0 flex-1 basis-52">
            <h1 className="flex items-center gap-2 text-xl font-semibold tracking-tight">
              <span className="truncate">{name}</span>
              {isPending && <PendingMark />}
            </h1>
            <div className="truncate text-ink-2">{subtitle}</div>
          </div>
          {highlights}
        </header>
        <div className="grid grid-cols-1 items-start gap-4 lg:grid-cols-[minmax(0,1fr)_23rem]">
          <div className="flex min-w-0 flex-col gap-4 max-lg:order-2">{children}</div>
          <aside className="flex min-w-0 flex-col gap-4">{side}</aside>
        </div>
      </div>
      <Confirm
        isOpen={isDeleting}
        onClose={() => setIsDeleting(false)}
        title={`Delete ${name}?`}
        deed="Delete"
        onConfirm={() => void remove()}
      >
        It goes from every device. You can take it back right after.
      </Confirm>
    </div>
  );
}

/** There is no such record here: deleted, or of a scope that this person does not see. */
export function NoRecord({ entity, backTo }: { entity: string; backTo: string }) {
  return (
    <Notice
      icon={<FileX className="size-5" />}
      title={`This ${nounOf(entity)} is not here`}
      action={
        <Link to={backTo} className={buttonClass()}>
          Back to the list
        </Link>
      }
    >
      It was deleted, you may not see it, or this device has not loaded it yet.
    </Notice>
  );
}
