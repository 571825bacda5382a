import { useNavigate } from "@tanstack/react-router";
import { Building2 } from "lucide-react";
import { useMemo } from "react";
import { PersonName } from "../../components/Avatar.tsx";
import { Badge, type Tone } from "../../components/Badge.tsx";
import type { Column } from "../../components/VirtualTable.tsx";
import { type Row, useById, useLive } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { amount, calendarDay } from "../../format/value.ts";
import { PendingMark } from "../leads/columns.tsx";
import { CreateDialog } from "../record/CreateDialog.tsx";
import { ListPage, type ListRow } from "../record/ListPage.tsx";
import type { ListDefaults, ListSearch } from "../record/listSearch.ts";

interface DealRow extends ListRow {
  readonly deal: Row<"opportunities">;
  readonly stage: Row<"pipeline_stages"> | undefined;
  readonly owner: string | undefined;
  readonly company: string | undefined;
}

export const OPPORTUNITIES: ListDefaults = {
  sorts: ["name", "stage", "amount", "owner", "close"],
  sort: "amount",
  isDescending: true,
};

const STAGE_TONES: Readonly<Record<string, Tone>> = { open: "info", won: "good", lost: "bad" };

export function StageBadge({ stage }: { stage: Row<"pipeline_stages"> | undefined }) {
  return stage === undefined ? null : (
    <Badge tone={STAGE_TONES[stage.fields.type ?? "open"] ?? "neutral"}>{stage.fields.name}</Badge>
  );
}

const COLUMNS: readonly Column<DealRow>[] = [
  {
    key: "name",
    label: "Opportunity",
    width: "minmax(12rem, 2.4fr)",
    render: ({ deal }) => (
      <span className="flex min-w-0 items-center gap-2">
        <span className="truncate font-medium">{deal.fields.name}</span>
        {deal.state === "pending" && <PendingMark />}
      </span>
    ),
  },
  {
    key: "company",
    label: "Company",
    width: "minmax(8rem, 1.4fr)",
    from: "lg",
    canSort: false,
    render: ({ company }) => <span className="text-ink-2">{company}</span>,
  },
  { key: "stage", label: "Stage", width: "8rem", render: ({ stage }) => <StageBadge stage={stage} /> },
  {
    key: "amount",
    label: "Amount",
    width: "8rem",
    isNumeric: true,
    render: ({ deal }) => amount(deal.fields.amount, deal.fields.currency),
  },
  {
    key: "owner",
    label: "Owner",
    width: "minmax(8rem, 1.2fr)",
    from: "md",
    render: ({ owner }) => <PersonName name={owner} />,
  },
  {
    key: "close",
    label: "Closes",
    width: "7.5rem",
    from: "xl",
    render: ({ deal }) => <span className="text-ink-2">{calendarDay(deal.fields.expected_close_date)}</span>,
  },
];

const KEYS: Readonly<Record<string, (row: DealRow) => string | number>> = {
  name: ({ deal }) => deal.fields.name?.toLowerCase() ?? "",
  stage: ({ stage }) => stage?.fields.position ?? "",
  amount: ({ deal }) => (deal.fields.amount === undefined ? -1 : Number(deal.fields.amount)),
  owner: ({ owner }) => owner?.toLowerCase() ?? "",
  close: ({ deal }) => deal.fields.expected_close_date ?? "",
};

const isInStage = ({ deal }: DealRow, stage: string): boolean => deal.fields.stage_id === stage;
const FIELDS = ["name", "contact_id", "stage_id", "amount", "currency", "expected_close_date", "owner_id", "next_step"];

export function OpportunitiesPage({
  search,
  onSearch,
}: {
  search: ListSearch;
  onSearch: (change: Partial<ListSearch>) => void;
}) {
  const navigate = useNavigate();
  const { userId } = useMe();
  const { state, rows: deals } = useLive("opportunities");
  const users = useById("users");
  const companies = useById("companies");
  const stagesById = useById("pipeline_stages");
  const stages = useLive("pipeline_stages", { sort: "position" }).rows;
  const currency = useLive("workspaces").rows[0]?.fields.default_currency ?? "EUR";
  const rows = useMemo(
    () =>
      deals.map((deal): DealRow => {
        const { fields } = deal;
        const owner = users.get(fields.owner_id ?? "")?.fields.name;
        const company = companies.get(fields.company_id ?? "")?.fields.name;
        const words = [fields.name, company, owner, fields.next_step].filter((word) => word !== undefined);
        return {
          id: deal.id,
          deal,
          stage: stagesById.get(fields.stage_id ?? ""),
          owner,
          company,
          haystack: words.join("\n").toLowerCase(),
        };
      }),
    [deals, users, companies, stagesById],
  );
  const open = (id: string): void => void navigate({ to: "/opportunities/$id", params: { id } });
  return (
    <ListPage
      entity="opportunities"
      title="Opportunities"
      noun={["opportunity", "opportunities"]}
      icon={<Building2 className="size-5" />}
      state={state}
      rows={rows}
      columns={COLUMNS}
      keys={KEYS}
      search={search}
      onSearch={onSearch}
      filter={{
        label: "Stage",
        none: "Any stage",
        options: stages.map(({ id, fields }) => ({ value: id, label: fields.name ?? "" })),
        matches: isInStage,
      }}
      onOpen={({ id }) => open(id)}
      renderCard={({ deal, stage, company }) => (
        <div>
          <div className="flex items-center gap-2">
            <span className="truncate font-medium">{deal.fields.name}</span>
            <span className="num ml-auto shrink-0 font-medium">{amount(deal.fields.amount, deal.fields.currency)}</span>
          </div>
          <div className="flex items-center gap-2 text-sm text-ink-2">
            <span className="min-w-0 flex-1 truncate">{company}</span>
            <StageBadge stage={stage} />
          </div>
        </div>
      )}
      form={({ isOpen, onClose }) => (
        <CreateDialog
          entity="opportunities"
          names={FIELDS}
          isOpen={isOpen}
          onClose={onClose}
          onCreated={open}
          defaults={{ owner_id: userId, currency, stage_id: stages[0]?.id ?? "" }}
          complete={({ currency: unit = currency, ...values }) => ({
            ...values,
            ...(values.amount !== undefined && { currency: unit }),
            pipeline_id: stagesById.get(String(values.stage_id))?.fields.pipeline_id ?? null,
          })}
        />
      )}
    />
  );
}
