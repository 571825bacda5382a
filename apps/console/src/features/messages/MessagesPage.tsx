import { Mail, RotateCcw } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Badge, type Tone } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { Dialog } from "../../components/Dialog.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { MODES } from "../../components/Modes.tsx";
import { Page } from "../../components/Page.tsx";
import { Failed, Loading, Notice } from "../../components/States.tsx";
import { Switch } from "../../components/Switch.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { ask, useRemote } from "../../data/api.ts";
import { useById, useClient } from "../../data/live.ts";
import { RANK_ADMIN, useMe } from "../../data/me.ts";
import { sentence } from "../../format/text.ts";
import { ago, dateTime } from "../../format/value.ts";
import { inWords } from "../record/value.ts";

interface Message {
  readonly id: string;
  readonly message_type: string;
  readonly from: { readonly user_id: string };
  readonly to: Readonly<Record<string, unknown>>;
  readonly priority: string;
  readonly payload: unknown;
  readonly sent_ms: number;
  readonly expires_ms: number;
  readonly state: "live" | "over" | "dead_letter";
}

interface Mailed {
  readonly items: readonly Message[];
  readonly next?: string;
}

const BOXES = {
  received: { label: "For me", path: "/api/messages?box=received", rank: 0 },
  sent: { label: "From me", path: "/api/messages?box=sent", rank: 0 },
  all: { label: "Everybody’s", path: "/api/messages?box=all", rank: RANK_ADMIN },
  dead: { label: "Not delivered", path: "/api/messages/dead-letters?", rank: RANK_ADMIN },
} as const;
type Box = keyof typeof BOXES;

const STATES: Readonly<Record<Message["state"], readonly [label: string, tone: Tone]>> = {
  live: ["On its way", "info"],
  over: ["Delivered", "good"],
  dead_letter: ["Not delivered", "bad"],
};
const PAGE = 50;

/** Messages between people, devices and programs, and what became of each. The server keeps them. */
export function MessagesPage() {
  const { rank } = useMe();
  const [box, setBox] = useState<Box>("received");
  const boxes = (Object.keys(BOXES) as Box[]).filter((name) => BOXES[name].rank <= rank);
  return (
    <Page
      title="Messages"
      tools={
        <Switch
          label="Which messages"
          value={box}
          options={boxes.map((name) => ({ value: name, label: BOXES[name].label }))}
          onChange={(name) => setBox(name as Box)}
        />
      }
    >
      <Messages key={box} box={box} />
    </Page>
  );
}

function Messages({ box }: { box: Box }) {
  const client = useClient();
  const users = useById("users");
  const [after, setAfter] = useState<readonly string[]>([]);
  const last = after.at(-1);
  const { remote, reload } = useRemote<Mailed>(
    `${BOXES[box].path}&limit=${PAGE}${last === undefined ? "" : `&after=${last}`}`,
  );
  const [opened, setOpened] = useState<Message>();
  if (remote.state === "loading") {
    return <Loading what="messages" />;
  }
  if (remote.state === "failed") {
    return <Failed error={remote.error} onRetry={() => attempt(reload())} />;
  }
  const person = (id: unknown): string => users.get(String(id))?.fields.name ?? "Former member";
  const replay = async ({ id }: Message): Promise<void> => {
    const answer = await ask(client, `/api/messages/${id}/replay`, { method: "POST", body: {} });
    toast(answer.ok ? "Sent again" : answer.error.message);
    await reload();
  };
  const receiver = ({ to }: Message): string => {
    const [[kind, value] = ["workspace", true]] = Object.entries(to);
    switch (kind) {
      case "user":
        return person(value);
      case "mode":
        return `Every ${(MODES[String(value)]?.[0] ?? "device").toLowerCase()}`;
      case "device":
        return "One device";
      case "topic":
        return `Topic ${String(value)}`;
      default:
        return "Everybody";
    }
  };
  const columns: readonly ListColumn<Message>[] = [
    {
      label: "Message",
      render: (message) => (
        <button
          type="button"
          onClick={() => setOpened(message)}
          className="block w-full rounded text-left hover:underline md:max-w-80"
        >
          <span className="line-clamp-2 wrap-anywhere">
            <span className="font-medium">{sentence(message.message_type.replaceAll(".", " "))}</span>
            <span className="text-ink-3"> {inWords(message.payload)}</span>
          </span>
          <span className="block text-sm text-ink-3 md:hidden">
            {person(message.from.user_id)} · {ago(message.sent_ms, Date.now())}
          </span>
        </button>
      ),
    },
    { label: "From", isExtra: true, render: ({ from }) => person(from.user_id) },
    { label: "To", isExtra: true, render: receiver },
    {
      label: "Sent",
      isExtra: true,
      render: ({ sent_ms }) => <span className="whitespace-nowrap text-ink-2">{ago(sent_ms, Date.now())}</span>,
    },
    {
      label: "",
      isNumeric: true,
      render: (message) => {
        const [label, tone] = STATES[message.state];
        return box === "dead" ? (
          <Button icon={<RotateCcw className="size-4" />} onClick={() => attempt(replay(message))}>
            Send again
          </Button>
        ) : (
          <Badge tone={tone}>{label}</Badge>
        );
      },
    },
  ];
  return remote.data.items.length === 0 ? (
    <Notice icon={<Mail className="size-5" />} title={box === "dead" ? "Everything was delivered" : "No messages"}>
      {box === "dead"
        ? "A message whose time ran out before it reached somebody is kept here, to be sent again."
        : "Programs and people send messages to a person, a device, a kind of device or everybody."}
    </Notice>
  ) : (
    <>
      <List label="Messages" rows={remote.data.items} idOf={({ id }) => id} columns={columns} />
      <div className="mt-3 flex justify-end gap-2">
        {after.length > 0 && <Button onClick={() => setAfter(after.slice(0, -1))}>Newer</Button>}
        {remote.data.next !== undefined && (
          <Button onClick={() => setAfter([...after, remote.data.next ?? ""])}>Older</Button>
        )}
      </div>
      <Dialog
        isOpen={opened !== undefined}
        onClose={() => setOpened(undefined)}
        title={sentence((opened?.message_type ?? "").replaceAll(".", " "))}
      >
        {opened !== undefined && (
          <MessageDetail message={opened} receiver={receiver(opened)} sender={person(opened.from.user_id)} />
        )}
      </Dialog>
    </>
  );
}

interface Delivery {
  readonly device_id: string;
  readonly user_id: string;
  readonly state: string | null;
}

function MessageDetail({ message, receiver, sender }: { message: Message; receiver: string; sender: string }) {
  const users = useById("users");
  const { remote } = useRemote<{ readonly deliveries: readonly Delivery[] }>(`/api/messages/${message.id}`);
  const rows: readonly (readonly [string, ReactNode])[] = [
    ["From", sender],
    ["To", receiver],
    ["Sent", dateTime(message.sent_ms)],
    ["Kept until", dateTime(message.expires_ms)],
    ["Priority", sentence(message.priority)],
    ["Says", inWords(message.payload)],
  ];
  return (
    <dl className="grid grid-cols-[7rem_minmax(0,1fr)] gap-x-4 gap-y-1.5">
      {rows.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-ink-3">{name}</dt>
          <dd className="break-words">{value}</dd>
        </div>
      ))}
      <dt className="text-ink-3">Devices</dt>
      <dd>
        {remote.state === "loading"
          ? "…"
          : remote.state === "failed"
            ? remote.error.message
            : remote.data.deliveries.length === 0
              ? "None yet"
              : remote.data.deliveries.map(({ device_id, user_id, state }) => (
                  <div key={device_id}>
                    {users.get(user_id)?.fields.name ?? "Former member"}: {sentence(state ?? "waits")}
                  </div>
                ))}
      </dd>
    </dl>
  );
}
