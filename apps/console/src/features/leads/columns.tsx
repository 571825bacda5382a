import { CloudUpload } from "lucide-react";
import { Avatar, PersonName } from "../../components/Avatar.tsx";
import { Badge, Dot, type Tone } from "../../components/Badge.tsx";
import type { Column } from "../../components/VirtualTable.tsx";
import { sentence } from "../../format/text.ts";
import { ago, amount, calendarDay, createdMs } from "../../format/value.ts";
import type { LeadRow } from "./rows.ts";

const PRIORITY_TONES: Readonly<Record<string, Tone>> = {
  urgent: "bad",
  high: "warn",
  medium: "neutral",
  low: "neutral",
};

export function Priority({ value }: { value: string | undefined }) {
  return value === undefined ? null : <Badge tone={PRIORITY_TONES[value] ?? "neutral"}>{sentence(value)}</Badge>;
}

/** Part of the record waits to be sent. */
export function PendingMark() {
  return <CloudUpload aria-label="Not sent yet" role="img" className="inline size-3.5 shrink-0 text-info" />;
}

export const LEAD_COLUMNS: readonly Column<LeadRow>[] = [
  {
    key: "name",
    label: "Lead",
    width: "minmax(11rem, 2.2fr)",
    render: ({ name, lead }) => (
      <span className="flex min-w-0 items-center gap-2.5">
        <Avatar name={name} />
        <span className="truncate font-medium">{name}</span>
        {lead.state === "pending" && <PendingMark />}
      </span>
    ),
  },
  {
    key: "company",
    label: "Company",
    width: "minmax(8rem, 1.6fr)",
    from: "lg",
    render: ({ company }) => <span className="text-ink-2">{company?.fields.name}</span>,
  },
  {
    key: "status",
    label: "Status",
    width: "minmax(7rem, 1fr)",
    render: ({ status }) =>
      status === undefined ? (
        <span className="text-ink-3">None</span>
      ) : (
        <Dot color={status.fields.color}>{status.fields.name}</Dot>
      ),
  },
  {
    key: "priority",
    label: "Priority",
    width: "6.5rem",
    from: "md",
    render: ({ lead }) => <Priority value={lead.fields.priority} />,
  },
  {
    key: "value",
    label: "Value",
    width: "8rem",
    isNumeric: true,
    render: ({ lead }) => amount(lead.fields.estimated_value, lead.fields.currency),
  },
  {
    key: "owner",
    label: "Owner",
    width: "minmax(8rem, 1.2fr)",
    from: "lg",
    render: ({ owner }) => <PersonName name={owner?.fields.name} />,
  },
  {
    key: "close",
    label: "Closes",
    width: "7rem",
    from: "xl",
    render: ({ lead }) => <span className="text-ink-2">{calendarDay(lead.fields.expected_close_date)}</span>,
  },
  {
    key: "created",
    label: "Created",
    width: "8rem",
    from: "md",
    render: ({ id }) => <span className="text-ink-2">{ago(createdMs(id), Date.now())}</span>,
  },
];

/** A lead on a phone: two lines. */
export function LeadCard({ row: { name, lead, status, company } }: { row: LeadRow }) {
  return (
    <div className="flex items-center gap-3">
      <Avatar name={name} />
      <div className="min-w-0 flex-1">
        <div className="flex items-center gap-2">
          <span className="truncate font-medium">{name}</span>
          {lead.state === "pending" && <PendingMark />}
          <span className="num ml-auto shrink-0 font-medium">
            {amount(lead.fields.estimated_value, lead.fields.currency)}
          </span>
        </div>
        <div className="flex items-center gap-3 text-sm text-ink-2">
          <span className="min-w-0 flex-1 truncate">{company?.fields.name ?? lead.fields.product_interest}</span>
          <span className="shrink-0">
            <Dot color={status?.fields.color}>{status?.fields.name ?? "No status"}</Dot>
          </span>
        </div>
      </div>
    </div>
  );
}
