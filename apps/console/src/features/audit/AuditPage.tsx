import { ScrollText } from "lucide-react";
import { useState } from "react";
import { Button } from "../../components/Button.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { Page } from "../../components/Page.tsx";
import { Failed, Loading, Notice } from "../../components/States.tsx";
import { useRemote } from "../../data/api.ts";
import { useById } from "../../data/live.ts";
import { dateTime } from "../../format/value.ts";
import { type AuditItem, deedOf, detailsOf } from "./words.ts";

interface AuditAnswer {
  readonly items: readonly AuditItem[];
  readonly next?: number;
}

const PAGE = 100;

/** Who came in, was refused, or changed what others may do. The server keeps it; entries cannot be changed. */
export function AuditPage() {
  const [before, setBefore] = useState<readonly number[]>([]);
  const users = useById("users");
  const last = before.at(-1);
  const { remote, reload } = useRemote<AuditAnswer>(
    `/api/admin/audit?limit=${PAGE}${last === undefined ? "" : `&before=${last}`}`,
  );
  const nameOf = (id: string): string | undefined => users.get(id)?.fields.name;
  const person = ({ user_id }: AuditItem): string =>
    typeof user_id === "string" ? (nameOf(user_id) ?? "Former member") : "Nobody signed in";
  const columns: readonly ListColumn<AuditItem>[] = [
    {
      label: "When",
      isExtra: true,
      render: ({ at_ms }) => <span className="whitespace-nowrap text-ink-2">{dateTime(at_ms)}</span>,
    },
    { label: "Who", isExtra: true, render: (item) => <span className="whitespace-nowrap">{person(item)}</span> },
    {
      label: "What",
      render: (item) => (
        <div>
          <div className="font-medium">{deedOf(item, nameOf)}</div>
          <div className="text-sm text-ink-3 md:hidden">
            {person(item)} · {dateTime(item.at_ms)}
          </div>
        </div>
      ),
    },
    {
      label: "Details",
      isExtra: true,
      render: (item) => <span className="text-sm wrap-anywhere text-ink-3">{detailsOf(item)}</span>,
    },
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
