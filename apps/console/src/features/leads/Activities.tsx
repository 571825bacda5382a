import { FilePen, Mail, MessageSquare, Phone, StickyNote, Users } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";
import { Avatar } from "../../components/Avatar.tsx";
import { Button } from "../../components/Button.tsx";
import { cx } from "../../components/cx.ts";
import { useBusy } from "../../components/useBusy.ts";
import { type Row, useById, useClient, useLive } from "../../data/live.ts";
import { useMay, useMe } from "../../data/me.ts";
import { sentence } from "../../format/text.ts";
import { ago, createdMs, dateTime } from "../../format/value.ts";
import { useDraft } from "../record/useDraft.ts";
import { PendingMark } from "./columns.tsx";

type Kind = "note" | "call" | "email" | "meeting";

const KINDS: readonly { readonly kind: Kind; readonly label: string; readonly icon: ReactNode }[] = [
  { kind: "note", label: "Note", icon: <StickyNote className="size-4" /> },
  { kind: "call", label: "Call", icon: <Phone className="size-4" /> },
  { kind: "email", label: "E-mail", icon: <Mail className="size-4" /> },
  { kind: "meeting", label: "Meeting", icon: <Users className="size-4" /> },
];

/** What happened with a lead, newest first, and for those who may a box to write down what just did. */
export function Activities({ leadId }: { leadId: string }) {
  const { rows } = useLive("lead_activities", { where: { lead_id: leadId } });
  const canAdd = useMay()("create", "lead_activities");
  const atMs = ({ id, fields }: Row<"lead_activities">): number =>
    fields.performed_at === undefined ? createdMs(id) : Date.parse(fields.performed_at);
  const newest = [...rows].sort((a, b) => atMs(b) - atMs(a));
  return (
    <div>
      {canAdd && <Composer leadId={leadId} />}
      {newest.length === 0 && <p className="px-4 py-6 text-center text-ink-3">Nothing written down yet.</p>}
      <ol className="divide-y">
        {newest.map((activity) => (
          <ActivityItem key={activity.id} activity={activity} atMs={atMs(activity)} />
        ))}
      </ol>
    </div>
  );
}

function Composer({ leadId }: { leadId: string }) {
  const client = useClient();
  const [kind, setKind] = useState<Kind>("note");
  const [text, setText, forget] = useDraft(`activity ${leadId}`, "");
  const [isBusy, once] = useBusy();
  const [error, setError] = useState("");
  const add = async (): Promise<void> => {
    const saved = await client.db.lead_activities.create({ lead_id: leadId, activity_type: kind, notes: text });
    setError(saved.ok ? "" : saved.error.message);
    if (saved.ok) {
      forget();
    }
  };
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        once(add);
      }}
      className="flex flex-col gap-2 border-b p-3"
    >
      <fieldset className="flex gap-1">
        <legend className="sr-only">Kind of activity</legend>
        {KINDS.map(({ kind: of, label, icon }) => (
          <button
            key={of}
            type="button"
            aria-pressed={kind === of}
            onClick={() => setKind(of)}
            className={cx(
              "flex items-center gap-1.5 rounded-lg px-2.5 py-1 font-medium",
              kind === of ? "bg-accent-soft text-accent" : "text-ink-2 hover:bg-hover",
            )}
          >
            {icon}
            <span className="max-sm:sr-only">{label}</span>
          </button>
        ))}
      </fieldset>
      <textarea
        aria-label="What happened"
        placeholder="What happened?"
        required
        rows={2}
        maxLength={20_000}
        className="control"
        value={text}
        onChange={({ target }) => setText(() => target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) {
            event.currentTarget.form?.requestSubmit();
          }
        }}
      />
      {error !== "" && (
        <p role="alert" className="text-bad">
          {error}
        </p>
      )}
      <Button type="submit" className="self-end" disabled={isBusy || text.trim() === ""}>
        Write down
      </Button>
    </form>
  );
}

function ActivityItem({ activity, atMs }: { activity: Row<"lead_activities">; atMs: number }) {
  const users = useById("users");
  const me = useMe();
  const { activity_type = "custom", notes, performed_by } = activity.fields;
  const isPending = activity.state === "pending";
  const name = users.get(performed_by ?? "")?.fields.name ?? (isPending ? me.name : "The server");
  const icon =
    KINDS.find(({ kind }) => kind === activity_type)?.icon ??
    (activity_type === "sms" ? <MessageSquare className="size-4" /> : <FilePen className="size-4" />);
  return (
    <li className="flex gap-3 px-4 py-3">
      <Avatar name={name} />
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-center gap-x-2 text-ink-3">
          <span className="font-medium text-ink">{name}</span>
          <span className="inline-flex items-center gap-1">
            {icon}
            {sentence(activity_type)}
          </span>
          <time title={dateTime(atMs)}>{ago(atMs, Date.now())}</time>
          {isPending && <PendingMark />}
        </div>
        {notes !== undefined && <p className="mt-0.5 break-words whitespace-pre-line">{notes}</p>}
      </div>
    </li>
  );
}
