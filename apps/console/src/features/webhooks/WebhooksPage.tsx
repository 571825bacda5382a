import { ListChecks, Plus, Power, Trash2, Webhook as WebhookIcon } from "lucide-react";
import { useState } from "react";
import { Badge } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { Confirm, Dialog } from "../../components/Dialog.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { Page } from "../../components/Page.tsx";
import { Failed, Loading, Notice } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { ask, useRemote } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import { number } from "../../format/text.ts";
import { Deliveries } from "./Deliveries.tsx";
import { NewWebhook } from "./NewWebhook.tsx";

export interface Webhook {
  readonly id: string;
  readonly direction: "outgoing" | "incoming";
  readonly name: string;
  readonly url?: string;
  readonly path?: string;
  readonly events: readonly string[];
  readonly is_enabled: boolean;
  readonly disabled_reason?: string;
  readonly failures: number;
  readonly secret?: string;
}

/** Programs that are told of changes, or tell of them. */
export function WebhooksPage() {
  const client = useClient();
  const { remote, reload } = useRemote<{ readonly items: readonly Webhook[] }>("/api/admin/webhooks");
  const [isAdding, setIsAdding] = useState(false);
  const [opened, setOpened] = useState<Webhook>();
  const [leaving, setLeaving] = useState<Webhook>();
  if (remote.state === "loading") {
    return <Loading what="webhooks" />;
  }
  if (remote.state === "failed") {
    return (
      <Page title="Webhooks">
        <Failed error={remote.error} onRetry={() => attempt(reload())} />
      </Page>
    );
  }
  const change = async (hook: Webhook, method: "PATCH" | "DELETE", body?: object): Promise<void> => {
    const answer = await ask(client, `/api/admin/webhooks/${hook.id}`, {
      method,
      ...(body !== undefined && { body }),
    });
    toast(answer.ok ? `${hook.name} ${method === "DELETE" ? "deleted" : "saved"}` : answer.error.message);
    await reload();
  };
  const columns: readonly ListColumn<Webhook>[] = [
    {
      label: "Name",
      render: (hook) => (
        <div className="min-w-0">
          <div className="font-medium">{hook.name}</div>
          <div className="max-w-72 text-sm wrap-anywhere text-ink-3">
            {hook.url ?? `${location.origin}${hook.path ?? ""}`}
          </div>
        </div>
      ),
    },
    {
      label: "Kind",
      isExtra: true,
      render: ({ direction, events }) =>
        direction === "incoming"
          ? "Tells us"
          : events.length === 0 || events.includes("*")
            ? "Is told everything"
            : `Is told: ${events.join(", ")}`,
    },
    {
      label: "State",
      render: ({ is_enabled, failures, disabled_reason }) =>
        !is_enabled ? (
          <span title={disabled_reason}>
            <Badge tone="bad">Off</Badge>
          </span>
        ) : failures > 0 ? (
          <Badge tone="warn">{number(failures)} failed</Badge>
        ) : (
          <Badge tone="good">On</Badge>
        ),
    },
    {
      label: "",
      isNumeric: true,
      render: (hook) => (
        <span className="inline-flex gap-1 max-md:flex-col">
          {hook.direction === "outgoing" && (
            <Button
              aria-label={`Deliveries to ${hook.name}`}
              icon={<ListChecks className="size-4 md:hidden" />}
              onClick={() => setOpened(hook)}
            >
              <span className="max-md:hidden">Deliveries</span>
            </Button>
          )}
          <Button
            tone="quiet"
            onClick={() => attempt(change(hook, "PATCH", { is_enabled: !hook.is_enabled }))}
            icon={<Power className="size-4" />}
            aria-label={`${hook.is_enabled ? "Switch off" : "Switch on"} ${hook.name}`}
          />
          <Button
            tone="quiet"
            aria-label={`Delete ${hook.name}`}
            icon={<Trash2 className="size-4" />}
            onClick={() => setLeaving(hook)}
          />
        </span>
      ),
    },
  ];
  return (
    <Page
      title="Webhooks"
      aside={number(remote.data.items.length)}
      actions={
        <Button tone="primary" data-create icon={<Plus className="size-4" />} onClick={() => setIsAdding(true)}>
          Add webhook
        </Button>
      }
    >
      {remote.data.items.length === 0 ? (
        <Notice icon={<WebhookIcon className="size-5" />} title="No webhook yet">
          A webhook tells another program of every change as it happens, signed, and again until it was heard.
        </Notice>
      ) : (
        <List label="Webhooks" rows={remote.data.items} idOf={({ id }) => id} columns={columns} />
      )}
      <Dialog isOpen={isAdding} onClose={() => setIsAdding(false)} title="Add webhook">
        <NewWebhook onAdded={() => attempt(reload())} onClose={() => setIsAdding(false)} />
      </Dialog>
      <Dialog
        isOpen={opened !== undefined}
        onClose={() => setOpened(undefined)}
        title={`Deliveries to ${opened?.name ?? ""}`}
        isWide
      >
        {opened !== undefined && <Deliveries webhook={opened} />}
      </Dialog>
      <Confirm
        isOpen={leaving !== undefined}
        onClose={() => setLeaving(undefined)}
        title={`Delete ${leaving?.name ?? ""}?`}
        deed="Delete"
        onConfirm={() => leaving !== undefined && attempt(change(leaving, "DELETE"))}
      >
        Its log of deliveries and its secret go with it.
      </Confirm>
    </Page>
  );
}
