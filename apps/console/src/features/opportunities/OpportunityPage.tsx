import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Loading } from "../../components/States.tsx";
import { TabBar } from "../../components/TabBar.tsx";
import { toast } from "../../components/toast.tsx";
import { type Row, useById, useClient, useLive, useRecord } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { amount } from "../../format/value.ts";
import { OpenConflicts } from "../conflicts/OpenConflicts.tsx";
import { HistoryCard } from "../history/HistoryCard.tsx";
import { FieldsCard } from "../record/FieldsCard.tsx";
import { NoRecord, RecordPage } from "../record/RecordPage.tsx";
import { contactName } from "../record/titles.ts";
import { TasksOf } from "../tasks/TasksOf.tsx";
import { LostDialog } from "./LostDialog.tsx";
import { StageBadge } from "./OpportunitiesPage.tsx";

const FIELDS = [
  "name",
  "contact_id",
  "company_id",
  "amount",
  "currency",
  "probability",
  "expected_close_date",
  "owner_id",
  "next_step",
  "lost_reason_id",
  "lost_notes",
];

export function OpportunityPage({ id }: { id: string }) {
  const deal = useRecord("opportunities", id);
  if (deal === undefined) {
    return <Loading what="the opportunity" />;
  }
  return deal === null ? (
    <NoRecord entity="opportunities" id={id} backTo="/opportunities" />
  ) : (
    <OpportunityDetail deal={deal} />
  );
}

function OpportunityDetail({ deal }: { deal: Row<"opportunities"> }) {
  const client = useClient();
  const canChoose = useMay()("update", "opportunities", "stage_id");
  const { id, fields } = deal;
  const [tab, setTab] = useState("tasks");
  const [losing, setLosing] = useState<Row<"pipeline_stages">>();
  const contact = useById("contacts").get(fields.contact_id ?? "");
  const company = useById("companies").get(fields.company_id ?? "");
  const stages = useLive("pipeline_stages", {
    where: { pipeline_id: fields.pipeline_id ?? null },
    sort: "position",
  }).rows;
  const stageOf = (stageId: string | undefined) => stages.find((known) => known.id === stageId);
  const choose = async (stageId: string): Promise<void> => {
    const stage = stageOf(stageId);
    if (stage?.fields.type === "lost" && stageOf(fields.stage_id)?.fields.type !== "lost") {
      setLosing(stage);
      return;
    }
    const saved = await client.db.opportunities.update(id, {
      stage_id: stageId,
      probability: stage?.fields.probability ?? null,
    });
    toast(saved.ok ? "Stage saved" : saved.error.message);
  };
  const tabs = [
    { key: "tasks", label: "Tasks", content: <TasksOf subject="opportunity" id={id} /> },
    {
      key: "history",
      label: "History",
      content: (
        <div className="p-4">
          <HistoryCard key={deal.rv} entity="opportunities" id={id} fields={{ ...fields }} />
        </div>
      ),
    },
  ];
  return (
    <RecordPage
      entity="opportunities"
      id={id}
      name={fields.name ?? "Untitled"}
      isPending={deal.state === "pending"}
      backTo="/opportunities"
      subtitle={
        <>
          {company?.fields.name}
          {contact !== undefined && (
            <>
              {company !== undefined && " · "}
              <Link to="/contacts/$id" params={{ id: contact.id }} className="text-accent hover:underline">
                {contactName(contact)}
              </Link>
            </>
          )}
        </>
      }
      highlights={
        <div className="flex items-center gap-4">
          {canChoose ? (
            <select
              aria-label="Stage"
              className="control w-auto font-medium"
              value={fields.stage_id ?? ""}
              onChange={(event) => void choose(event.target.value)}
            >
              {stages.map(({ id: stageId, fields: stage }) => (
                <option key={stageId} value={stageId}>
                  {stage.name}
                </option>
              ))}
            </select>
          ) : (
            <StageBadge stage={stages.find((stage) => stage.id === fields.stage_id)} />
          )}
          <span className="num text-xl font-semibold">{amount(fields.amount, fields.currency)}</span>
        </div>
      }
      side={<FieldsCard title="Opportunity" entity="opportunities" id={id} fields={fields} names={FIELDS} />}
    >
      <OpenConflicts entity="opportunities" id={id} />
      <TabBar label="About this opportunity" tabs={tabs} value={tab} onChange={setTab} />
      <LostDialog deal={deal} stage={losing} onClose={() => setLosing(undefined)} />
    </RecordPage>
  );
}
