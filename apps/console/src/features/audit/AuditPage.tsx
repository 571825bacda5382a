import { ScrollText } from "lucide-react";
import { useState } from "react";
import { Button } from "../../components/Button.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { Page } from "../../components/Page.tsx";
import { Failed, Loading, Notice } from "../../components/States.tsx";
import { useRemote } from "../../data/api.ts";
import { useById } from "../../data/live.ts";
import { sentence } from "../../format/text.ts";
import { dateTime } from "../../format/value.ts";

interface AuditItem {
  readonly seq: number;
  readonly event?: string;
  readonly at_ms?: number;
  readonly user_id?: string | null;
  readonly [member: string]: unknown;
}

interface AuditAnswer {
  readonly items: readonly AuditItem[];
  readonly next?: number;
}

const PAGE = 100;
/** Members that have a column of their own, or mean nothing to a person. */
const NOT_SHOWN = new Set(["seq", "hash", "event", "at_ms", "user_id", "workspace_id", "request_id", "prev_hash"]);

/** Who came in, was refused, or changed what others may do. The server keeps it; entries cannot be changed. */
export function AuditPage() {
  const [before, setBefore] = useState<readonly number[]>([]);
  const users = useById("users");
  const last = before.at(-1);
  const { remote, reload } = useRemote<AuditAnswer>(
    `/api/admin/audit?limit=${PAGE}${last === undefined ? "" : `&before=${last}`}`,
  );
  const person = (id: unknown): string =>
    typeof id === "string" ? (users.get(id)?.fields.name ?? "Former member") : "Nobody signed in";
  const columns: readonly ListColumn<AuditItem>[] = [
    { label: "When", render: ({ at_ms }) => <span className="whitespace-nowrap text-ink-2">{dateTime(at_ms)}</span> },
    {
      label: "What",
      render: ({ event }) => <span className="font-medium">{sentence((event ?? "").replaceAll(".", " "))}</span>,
    },
    { label: "Who", render: ({ user_id }) => person(user_id) },
    { label: "Details", isExtra: true, render: (item) => <span className="text-ink-2">{detailsOf(item)}</span> },
  ];
  if (remote.state === "loading") {
    return <Loading what="the audit log" />;
  }
  return (
    <Page title="Audit log">
      {remote.state === "failed" ? (
        <Failed error={remote.error} onRetry={() => void reload()} />
      ) : remote.data.items.length === 0 ? (
        <Notice icon={<ScrollText className="size-5" />} title="Nothing here yet">
          Sign-ins, refusals and changes of access are written down as they happen.
        </Notice>
      ) : (
        <>
          <List label="Audit log" rows={remote.data.items} idOf={({ seq }) => String(seq)} columns={columns} />
          <div className="mt-3 flex justify-end gap-2">
            {before.length > 0 && <Button onClick={() => setBefore(before.slice(0, -1))}>Newer</Button>}
            {remote.data.next !== undefined && (
              <Button onClick={() => setBefore([...before, remote.data.next ?? 0])}>Older</Button>
            )}
          </div>
        </>
      )}
    </Page>
  );
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-/;

/** The rest of an entry in words; ids say nothing to a person. */
function detailsOf(item: AuditItem): string {
  const parts = Object.entries(item).flatMap(([name, value]) => {
    const isPlain = typeof value === "string" || typeof value === "number" || typeof value === "boolean";
    return NOT_SHOWN.has(name) || !isPlain || ID.test(String(value))
      ? []
      : [`${sentence(name)}: ${sentence(String(value))}`];
  });
  return parts.join(" · ");
}
