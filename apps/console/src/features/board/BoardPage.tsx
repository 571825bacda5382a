/** Leads in columns by status. Dragged with the mouse, moved with the keyboard, chosen from a menu on a phone. */

import { Link } from "@tanstack/react-router";
import { type DragEvent, type KeyboardEvent, useMemo, useRef, useState } from "react";
import { Avatar } from "../../components/Avatar.tsx";
import { Dot } from "../../components/Badge.tsx";
import { cx } from "../../components/cx.ts";
import { Page } from "../../components/Page.tsx";
import { SearchField } from "../../components/SearchField.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { VirtualList } from "../../components/VirtualList.tsx";
import { type Row, useClient, useLive } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { useOrdered } from "../../data/ordered.ts";
import { counted, number } from "../../format/text.ts";
import { amount } from "../../format/value.ts";
import { PendingMark, Priority } from "../leads/columns.tsx";
import { LEAD_KEYS, type LeadRow, matchLeads } from "../leads/rows.ts";
import { NO_LEAD_FILTER } from "../leads/search.ts";
import { useLeadRows } from "../leads/useLeadRows.ts";
import { FirstCopy, useIsFirst } from "../sync/FirstCopy.tsx";
import { columnSum } from "./sum.ts";

/** Height of a card that was not measured yet. */
const CARD_PX = 100;
/** The column of leads without a status. */
const NONE = "";

export function BoardPage({ q, onQuery }: { q: string; onQuery: (q: string) => void }) {
  const client = useClient();
  const { state, rows } = useLeadRows();
  const statuses = useLive("status_options", { where: { category: "lead" }, sort: "position" }).rows;
  const isFirst = useIsFirst();
  const canMove = useMay()("update", "leads", "status_option_id");
  const [said, setSaid] = useState("");
  const [moved, setMoved] = useState("");
  const ordered = useOrdered(rows, LEAD_KEYS.value, true);
  const columns = useMemo(() => {
    const byStatus = new Map<string, LeadRow[]>(statuses.map(({ id }) => [id, []]));
    for (const row of matchLeads(ordered, { ...NO_LEAD_FILTER, q })) {
      const key = row.lead.fields.status_option_id ?? NONE;
      const column = byStatus.get(key) ?? [];
      column.push(row);
      byStatus.set(key, column);
    }
    return byStatus;
  }, [ordered, statuses, q]);
  const order = [...(columns.has(NONE) ? [NONE] : []), ...statuses.map(({ id }) => id)];
  const nameOf = (id: string): string => statuses.find((status) => status.id === id)?.fields.name ?? "No status";
  const move = async (lead: Row<"leads">, name: string, to: string): Promise<void> => {
    const from = lead.fields.status_option_id;
    if ((from ?? NONE) === to) {
      return;
    }
    const saved = await client.db.leads.update(lead.id, { status_option_id: to === NONE ? null : to });
    if (!saved.ok) {
      toast(saved.error.message);
      return;
    }
    setSaid(`${name} moved to ${nameOf(to)}`);
    toast(`Moved to ${nameOf(to)}`, {
      action: {
        label: "Undo",
        run: () => attempt(client.db.leads.update(lead.id, { status_option_id: from ?? null })),
      },
    });
  };
  return (
    <Page
      title="Board"
      aside={state === "ready" && counted(rows.length, "lead")}
      tools={<SearchField label="Search the board" value={q} onChange={onQuery} />}
      isFilled
    >
      <p role="status" className="sr-only">
        {said}
      </p>
      {state === "loading" || (rows.length === 0 && isFirst) ? (
        <FirstCopy what="the board" />
      ) : (
        <div className="flex min-h-0 flex-1 snap-x scroll-px-4 gap-3 sm:scroll-px-6 overflow-x-auto px-4 pb-4 sm:px-6">
          {order.map((id, place) => (
            <BoardColumn
              key={id}
              status={statuses.find((status) => status.id === id)}
              rows={columns.get(id) ?? []}
              {...(canMove && {
                onMove: (lead: Row<"leads">, name: string) => attempt(move(lead, name, id)),
                onStep: (row: LeadRow, step: 1 | -1) => {
                  setMoved(row.id);
                  attempt(move(row.lead, row.name, order[place + step] ?? id));
                },
              })}
              all={rows}
              reveal={moved}
            />
          ))}
        </div>
      )}
    </Page>
  );
}

interface ColumnProps {
  readonly status: Row<"status_options"> | undefined;
  readonly rows: readonly LeadRow[];
  readonly all: readonly LeadRow[];
  /** The lead that the keyboard has moved: the focus goes with it. */
  readonly reveal: string;
  /** Absent, as `onStep`: cards stay where they are. */
  readonly onMove?: (lead: Row<"leads">, name: string) => void;
  readonly onStep?: (row: LeadRow, step: 1 | -1) => void;
}

const DRAGGED = "application/x-syncline-lead";

function BoardColumn({ status, rows, all, reveal, onMove, onStep }: ColumnProps) {
  const [isOver, setIsOver] = useState(false);
  const name = status?.fields.name ?? "No status";
  const onDrop = (event: DragEvent): void => {
    event.preventDefault();
    setIsOver(false);
    const id = event.dataTransfer.getData(DRAGGED);
    const row = all.find((known) => known.id === id);
    if (row !== undefined) {
      onMove?.(row.lead, row.name);
    }
  };
  return (
    <section
      aria-label={name}
      onDragOver={(event) => {
        if (onMove !== undefined && event.dataTransfer.types.includes(DRAGGED)) {
          event.preventDefault();
          setIsOver(true);
        }
      }}
      onDragLeave={() => setIsOver(false)}
      onDrop={onDrop}
      className={cx(
        "flex w-72 shrink-0 snap-start flex-col rounded-xl border bg-sunken max-sm:w-[82vw]",
        isOver && "border-accent bg-accent-soft",
      )}
    >
      <header className="flex items-center gap-2 px-3 pt-2.5 pb-2">
        <h2 className="min-w-0 font-semibold">
          <Dot color={status?.fields.color}>{name}</Dot>
        </h2>
        <span className="num text-ink-3">{number(rows.length)}</span>
        <span className="num ml-auto truncate text-sm text-ink-3">{columnSum(rows)}</span>
      </header>
      {rows.length === 0 ? (
        <p className="py-6 text-center text-ink-3">No lead</p>
      ) : (
        <VirtualList
          label={`Leads in ${name}`}
          items={rows}
          keyOf={({ id }) => id}
          render={(row) => (
            <LeadCard row={row} {...(onStep !== undefined && { onStep: (step: 1 | -1) => onStep(row, step) })} />
          )}
          estimatePx={CARD_PX}
          gapPx={8}
          className="min-h-0 flex-1 overflow-y-auto px-2 pb-2"
          reveal={reveal}
        />
      )}
    </section>
  );
}

/** A lead on the board: arrow keys go up and down, with Shift left and right they move the lead. */
function LeadCard({ row, onStep }: { row: LeadRow; onStep?: (step: 1 | -1) => void }) {
  const { id, lead, name, company } = row;
  const link = useRef<HTMLAnchorElement>(null);
  const onKeyDown = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : undefined;
    if (event.shiftKey && step !== undefined && onStep !== undefined) {
      event.preventDefault();
      onStep(step);
      return;
    }
    const goal = goalOf(event.key, link.current);
    if (goal !== undefined) {
      event.preventDefault();
      goal?.focus();
    }
  };
  return (
    <Link
      ref={link}
      to="/leads/$id"
      params={{ id }}
      data-card={id}
      draggable={onStep !== undefined}
      onDragStart={(event) => {
        event.dataTransfer.setData(DRAGGED, id);
        event.dataTransfer.effectAllowed = "move";
      }}
      onKeyDown={onKeyDown}
      {...(onStep !== undefined && { "aria-description": "Shift with the left or right arrow moves it" })}
      className="block rounded-lg border bg-surface p-3 shadow-card hover:border-line-strong"
    >
      <span className="flex items-center gap-2">
        <Avatar name={name} />
        <span className="truncate font-medium">{name}</span>
        {lead.state === "pending" && <PendingMark />}
      </span>
      <span className="mt-1 block truncate text-ink-2">
        {[lead.fields.product_interest, company?.fields.name].filter((part) => part !== undefined).join(" · ")}
      </span>
      <span className="mt-2 flex items-center justify-between">
        <span className="num font-medium">{amount(lead.fields.estimated_value, lead.fields.currency)}</span>
        <Priority value={lead.fields.priority} />
      </span>
    </Link>
  );
}

/** The card that an arrow key goes to; `null`: there is none that way, `undefined`: another key. */
function goalOf(key: string, from: HTMLElement | null): HTMLElement | null | undefined {
  const column = from?.closest("section");
  const cards = [...(column?.querySelectorAll<HTMLElement>("[data-card]") ?? [])];
  const place = from === null ? 0 : cards.indexOf(from);
  const inColumn = (other: Element | null | undefined): HTMLElement | null => {
    const those = other?.querySelectorAll<HTMLElement>("[data-card]") ?? [];
    return those[Math.min(place, those.length - 1)] ?? null;
  };
  switch (key) {
    case "ArrowDown":
      return cards[place + 1] ?? null;
    case "ArrowUp":
      return cards[place - 1] ?? null;
    case "ArrowRight":
      return inColumn(column?.nextElementSibling);
    case "ArrowLeft":
      return inColumn(column?.previousElementSibling);
    default:
      return undefined;
  }
}
