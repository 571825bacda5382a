import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Dot } from "../../components/Badge.tsx";
import { Loading } from "../../components/States.tsx";
import { TabBar } from "../../components/TabBar.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { type Row, useById, useClient, useLive, useRecord } from "../../data/live.ts";
import { useMay } from "../../data/me.ts";
import { amount } from "../../format/value.ts";
import { OpenConflicts } from "../conflicts/OpenConflicts.tsx";
import { HistoryCard } from "../history/HistoryCard.tsx";
import { FieldsCard } from "../record/FieldsCard.tsx";
import { NoRecord, RecordPage } from "../record/RecordPage.tsx";
import { contactName } from "../record/titles.ts";
import { TasksOf } from "../tasks/TasksOf.tsx";
import { Activities } from "./Activities.tsx";
import { CustomFields } from "./CustomFields.tsx";

const LEAD_FIELDS = [
  "product_interest",
  "qualification_status",
  "priority",
  "temperature",
  "estimated_value",
  "currency",
  "expected_close_date",
  "owner_id",
  "team_id",
  "company_id",
  "lead_source",
  "lost_reason_id",
  "tags",
  "notes",
];
const CONTACT_FIELDS = [
  "firstname",
  "lastname",
  "email",
  "phone_number",
  "job_title",
  "company_name",
  "city",
  "country",
];

export function LeadPage({ id }: { id: string }) {
  const lead = useRecord("leads", id);
  const contacts = useById("contacts");
  if (lead === undefined) {
    return <Loading what="the lead" />;
  }
  if (lead === null) {
    return <NoRecord entity="leads" id={id} backTo="/leads" />;
  }
  return <LeadDetail lead={lead} contact={contacts.get(lead.fields.contact_id ?? "")} />;
}

function LeadDetail({ lead, contact }: { lead: Row<"leads">; contact: Row<"contacts"> | undefined }) {
  const { id, fields } = lead;
  const [tab, setTab] = useState("activity");
  const company = useById("companies").get(fields.company_id ?? "");
  const tasks = useLive("tasks", { where: { subject_id: id } }).rows.filter((task) => task.fields.status !== "done");
  const name = contact === undefined ? (fields.product_interest ?? "Unnamed lead") : contactName(contact);
  const tabs = [
    { key: "activity", label: "Activity", content: <Activities leadId={id} /> },
    { key: "tasks", label: "Tasks", count: tasks.length, content: <TasksOf subject="lead" id={id} /> },
    {
      key: "history",
      label: "History",
      content: (
        <div className="p-4">
          <HistoryCard key={lead.rv} entity="leads" id={id} fields={fields as Record<string, unknown>} />
        </div>
      ),
    },
  ];
  return (
    <RecordPage
      entity="leads"
      id={id}
      name={name}
      isPending={lead.state === "pending"}
      backTo="/leads"
      subtitle={[fields.product_interest, company?.fields.name].filter((part) => part !== undefined).join(" · ")}
      highlights={
        <div className="flex items-center gap-4">
          <StatusChoice lead={lead} />
          {fields.estimated_value !== undefined && (
            <span className="num text-xl font-semibold">{amount(fields.estimated_value, fields.currency)}</span>
          )}
        </div>
      }
      side={
        <>
          <FieldsCard title="Lead" entity="leads" id={id} fields={fields} names={LEAD_FIELDS} />
          <CustomFields leadId={id} />
          {contact !== undefined && (
            <FieldsCard
              title="Contact"
              entity="contacts"
              id={contact.id}
              fields={contact.fields}
              names={CONTACT_FIELDS}
              actions={
                <Link
                  to="/contacts/$id"
                  params={{ id: contact.id }}
                  className="rounded px-2 py-1 font-medium text-accent hover:underline"
                >
                  Open
                </Link>
              }
            />
          )}
        </>
      }
    >
      <OpenConflicts entity="leads" id={id} />
      <TabBar label="About this lead" tabs={tabs} value={tab} onChange={setTab} />
    </RecordPage>
  );
}

/** The status is what changes most often: it stands at the top. */
function StatusChoice({ lead }: { lead: Row<"leads"> }) {
  const client = useClient();
  const statuses = useLive("status_options", { where: { category: "lead" }, sort: "position" }).rows;
  const canChoose = useMay()("update", "leads", "status_option_id");
  const held = lead.fields.status_option_id;
  const choose = async (status: string): Promise<void> => {
    const saved = await client.db.leads.update(lead.id, { status_option_id: status === "" ? null : status });
    toast(saved.ok ? "Status saved" : saved.error.message, {
      ...(saved.ok && {
        action: {
          label: "Undo",
          run: () => attempt(client.db.leads.update(lead.id, { status_option_id: held ?? null })),
        },
      }),
    });
  };
  if (!canChoose) {
    const status = statuses.find(({ id }) => id === held)?.fields;
    return (
      <span className="font-medium">
        <span className="sr-only">Status: </span>
        <Dot color={status?.color}>{status?.name ?? "No status"}</Dot>
      </span>
    );
  }
  return (
    <select
      aria-label="Status"
      className="control w-auto font-medium"
      value={held ?? ""}
      onChange={(event) => void choose(event.target.value)}
    >
      <option value="">No status</option>
      {statuses.map(({ id, fields }) => (
        <option key={id} value={id}>
          {fields.name}
        </option>
      ))}
    </select>
  );
}
