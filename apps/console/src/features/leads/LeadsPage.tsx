import { useNavigate } from "@tanstack/react-router";
import { Plus, Target } from "lucide-react";
import { useCallback, useDeferredValue, useMemo, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { Page } from "../../components/Page.tsx";
import { SearchField } from "../../components/SearchField.tsx";
import { Notice } from "../../components/States.tsx";
import { VirtualTable } from "../../components/VirtualTable.tsx";
import { useLive } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { useOrdered } from "../../data/ordered.ts";
import { useReadAhead } from "../../data/searching.ts";
import { useSyncView } from "../../data/sync.ts";
import { number, sentence } from "../../format/text.ts";
import { FirstCopy, useIsFirst } from "../sync/FirstCopy.tsx";
import { LEAD_COLUMNS, LeadCard } from "./columns.tsx";
import { NewLead } from "./NewLead.tsx";
import { LEAD_KEYS, type LeadSort, matchLeads } from "./rows.ts";
import { type LeadSearch, NO_LEAD_FILTER } from "./search.ts";
import { useLeadRows } from "./useLeadRows.ts";

const PRIORITIES = ["urgent", "high", "medium", "low"].map((value) => ({ value, label: sentence(value) }));
const TEMPERATURES = ["hot", "warm", "cold"].map((value) => ({ value, label: sentence(value) }));

export function LeadsPage({
  search,
  onSearch,
}: {
  search: LeadSearch;
  onSearch: (change: Partial<LeadSearch>) => void;
}) {
  const navigate = useNavigate();
  const { state, rows } = useLeadRows();
  const [isCreating, setIsCreating] = useState(false);
  const canCreate = useMay()("create", "leads");
  // Typing stays quick whatever the number of leads: the list follows when the browser has time.
  const wanted = useDeferredValue(search);
  const ordered = useOrdered(rows, LEAD_KEYS[wanted.sort], wanted.isDescending);
  useReadAhead(ordered);
  const shown = useMemo(() => matchLeads(ordered, { ...NO_LEAD_FILTER, ...wanted }), [ordered, wanted]);
  const onQuery = useCallback((q: string) => onSearch({ q }), [onSearch]);
  const onSort = (key: string): void =>
    onSearch({ sort: key as LeadSort, isDescending: key === search.sort ? !search.isDescending : false });
  const isFiltered = shown.length !== rows.length;
  return (
    <Page
      title="Leads"
      aside={
        state === "ready" && (isFiltered ? `${number(shown.length)} of ${number(rows.length)}` : number(rows.length))
      }
      actions={
        canCreate && (
          <Button tone="primary" data-create icon={<Plus className="size-4" />} onClick={() => setIsCreating(true)}>
            New lead
          </Button>
        )
      }
      tools={<LeadTools search={search} onSearch={onSearch} onQuery={onQuery} />}
      isFilled
    >
      {shown.length > 0 ? (
        <VirtualTable
          label="Leads"
          rows={shown}
          idOf={({ id }) => id}
          columns={LEAD_COLUMNS}
          sorting={{ key: search.sort, isDescending: search.isDescending }}
          onSort={onSort}
          onOpen={({ id }) => void navigate({ to: "/leads/$id", params: { id } })}
          renderCard={(row) => <LeadCard row={row} />}
        />
      ) : (
        <NoLeads
          isLoading={state === "loading"}
          hasAny={rows.length > 0}
          onClear={() => onSearch(NO_LEAD_FILTER)}
          {...(canCreate && { onCreate: () => setIsCreating(true) })}
        />
      )}
      <NewLead isOpen={isCreating} onClose={() => setIsCreating(false)} />
    </Page>
  );
}

interface ToolsProps {
  readonly search: LeadSearch;
  readonly onSearch: (change: Partial<LeadSearch>) => void;
  readonly onQuery: (q: string) => void;
}

function LeadTools({ search, onSearch, onQuery }: ToolsProps) {
  const statuses = useLive("status_options", { where: { category: "lead" }, sort: "position" }).rows;
  const users = useLive("users", { sort: "name" }).rows;
  return (
    <div className="flex flex-wrap items-center gap-2 sm:flex-nowrap">
      <SearchField label="Search leads" value={search.q} onChange={onQuery} />
      <div className="-mx-1 flex min-w-0 items-center gap-2 overflow-x-auto px-1 py-0.5">
        <Choose
          isFilter
          label="Status"
          none="Any status"
          value={search.status}
          options={statuses.map(({ id, fields }) => ({ value: id, label: fields.name ?? "" }))}
          onChange={(status) => onSearch({ status })}
        />
        <Choose
          isFilter
          label="Owner"
          none="Any owner"
          value={search.owner}
          options={[
            { value: "none", label: "Nobody" },
            ...users.map(({ id, fields }) => ({ value: id, label: fields.name ?? "" })),
          ]}
          onChange={(owner) => onSearch({ owner })}
        />
        <Choose
          isFilter
          label="Priority"
          none="Any priority"
          value={search.priority}
          options={PRIORITIES}
          onChange={(priority) => onSearch({ priority })}
        />
        <Choose
          isFilter
          label="Temperature"
          none="Any temperature"
          value={search.temperature}
          options={TEMPERATURES}
          onChange={(temperature) => onSearch({ temperature })}
        />
      </div>
    </div>
  );
}

function NoLeads({
  isLoading,
  hasAny,
  onClear,
  onCreate,
}: {
  isLoading: boolean;
  hasAny: boolean;
  onClear: () => void;
  /** Absent: the person may not. */
  onCreate?: () => void;
}) {
  const sync = useSyncView();
  const isFirst = useIsFirst();
  if (isLoading || (!hasAny && isFirst)) {
    return <FirstCopy what="leads" />;
  }
  if (hasAny) {
    return (
      <Notice
        icon={<Target className="size-5" />}
        title="No lead matches"
        action={<Button onClick={onClear}>Clear filters</Button>}
      >
        Other words or fewer filters may find it.
      </Notice>
    );
  }
  const isOffline = sync.kind === "offline" || sync.kind === "connecting";
  return (
    <Notice
      icon={<Target className="size-5" />}
      title="No leads yet"
      {...(onCreate !== undefined && {
        action: (
          <Button tone="primary" onClick={onCreate}>
            New lead
          </Button>
        ),
      })}
    >
      {onCreate === undefined
        ? "What others add is shown here."
        : isOffline
          ? "This device has none, and the server is out of reach. What you add now is sent later."
          : "Add one here, capture one with the browser extension, or import a file."}
    </Notice>
  );
}
