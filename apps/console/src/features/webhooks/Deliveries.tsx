import { RotateCcw } from "lucide-react";
import { Badge, type Tone } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { Failed, Loading } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { ask, useRemote } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import { counted, sentence } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import type { Webhook } from "./WebhooksPage.tsx";

interface Delivery {
  readonly id: string;
  readonly event: string;
  readonly state: string;
  readonly attempts: number;
  readonly next_ms: number;
  readonly last_status: number | null;
  readonly last_error: string | null;
  readonly created_ms: number;
}

function answerOf({ last_status, last_error, attempts }: Delivery): string {
  const answer = last_error ?? (last_status === null ? "Not asked yet" : `Status ${last_status}`);
  return attempts > 1 ? `${answer} · ${counted(attempts, "attempt")}` : answer;
}

const TONES: Readonly<Record<string, Tone>> = { delivered: "good", pending: "info", failed: "bad" };
const LISTED_MAX = 100;

/** What a program was told, what it answered, and a way to tell it again. */
export function Deliveries({ webhook }: { webhook: Webhook }) {
  const client = useClient();
  const { remote, reload } = useRemote<{ readonly items: readonly Delivery[] }>(
    `/api/admin/webhooks/${webhook.id}/deliveries?limit=${LISTED_MAX}`,
  );
  if (remote.state === "loading") {
    return <Loading what="deliveries" />;
  }
  if (remote.state === "failed") {
    return <Failed error={remote.error} onRetry={() => attempt(reload())} />;
  }
  const retry = async ({ id }: Delivery): Promise<void> => {
    const path = `/api/admin/webhooks/${webhook.id}/deliveries/${id}/retry`;
    const answer = await ask(client, path, { method: "POST" });
    toast(answer.ok ? "Tried again now" : answer.error.message);
    await reload();
  };
  const columns: readonly ListColumn<Delivery>[] = [
    {
      label: "Event",
      render: (delivery) => (
        <div>
          <div className="font-medium">{sentence(delivery.event.replaceAll(".", " "))}</div>
          <div className="text-sm wrap-anywhere text-ink-3 md:hidden">
            {ago(delivery.created_ms, Date.now())} · {answerOf(delivery)}
          </div>
        </div>
      ),
    },
    { label: "When", isExtra: true, render: ({ created_ms }) => ago(created_ms, Date.now()) },
    {
      label: "Answer",
      isExtra: true,
      render: (delivery) => <span className="text-ink-2">{answerOf(delivery)}</span>,
    },
    {
      label: "State",
      render: ({ state, next_ms }) => (
        <span className="inline-flex items-center gap-2 whitespace-nowrap">
          <Badge tone={TONES[state] ?? "neutral"}>{sentence(state)}</Badge>
          {state === "pending" && next_ms > Date.now() && (
            <span className="text-sm text-ink-3 max-md:hidden">{ago(next_ms, Date.now())}</span>
          )}
        </span>
      ),
    },
    {
      label: "",
      isNumeric: true,
      render: (delivery) =>
        delivery.state !== "delivered" && (
          <Button icon={<RotateCcw className="size-4" />} onClick={() => attempt(retry(delivery))}>
            <span className="max-md:sr-only">Try again</span>
          </Button>
        ),
    },
  ];
  return remote.data.items.length === 0 ? (
    <p className="py-6 text-center text-ink-3">Nothing was sent yet. The next change is the first.</p>
  ) : (
    <List label="Deliveries" rows={remote.data.items} idOf={({ id }) => id} columns={columns} />
  );
}
