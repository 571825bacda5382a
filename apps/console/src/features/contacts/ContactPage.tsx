import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Dot } from "../../components/Badge.tsx";
import { Loading } from "../../components/States.tsx";
import { TabBar } from "../../components/TabBar.tsx";
import { type Row, useById, useLive, useRecord } from "../../data/live.ts";
import { amount } from "../../format/value.ts";
import { OpenConflicts } from "../conflicts/OpenConflicts.tsx";
import { HistoryCard } from "../history/HistoryCard.tsx";
import { FieldsCard } from "../record/FieldsCard.tsx";
import { NoRecord, RecordPage } from "../record/RecordPage.tsx";
import { contactName } from "../record/titles.ts";
import { TasksOf } from "../tasks/TasksOf.tsx";

const PERSON = [
  "firstname",
  "lastname",
  "email",
  "phone_number",
  "secondary_phone",
  "job_title",
  "company_name",
  "company_id",
  "website",
  "language",
  "date_of_birth",
];
const ADDRESS = ["st_address", "address_2", "zip", "city", "state", "country"];
const SALES = [
  "assigned_to",
  "team_id",
  "lead_source",
  "priority",
  "estimated_value",
  "follow_up_date",
  "tags",
  "notes",
];

export function ContactPage({ id }: { id: string }) {
  const contact = useRecord("contacts", id);
  if (contact === undefined) {
    return <Loading what="the contact" />;
  }
  return contact === null ? (
    <NoRecord entity="contacts" id={id} backTo="/contacts" />
  ) : (
    <ContactDetail contact={contact} />
  );
}

function ContactDetail({ contact }: { contact: Row<"contacts"> }) {
  const { id, fields } = contact;
  const [tab, setTab] = useState("leads");
  const leads = useLive("leads", { where: { contact_id: id } }).rows;
  const tabs = [
    { key: "leads", label: "Leads", count: leads.length, content: <LeadsOf leads={leads} /> },
    { key: "tasks", label: "Tasks", content: <TasksOf subject="contact" id={id} /> },
    {
      key: "history",
      label: "History",
      content: (
        <div className="p-4">
          <HistoryCard key={contact.rv} entity="contacts" id={id} fields={{ ...fields }} />
        </div>
      ),
    },
  ];
  return (
    <RecordPage
      entity="contacts"
      id={id}
      name={contactName(contact)}
      isPending={contact.state === "pending"}
      isArchived={fields.is_archived === true}
      backTo="/contacts"
      subtitle={[fields.job_title, fields.company_name].filter((part) => part !== undefined).join(" at ")}
      side={
        <>
          <FieldsCard title="Person" entity="contacts" id={id} fields={fields} names={PERSON} />
          <FieldsCard title="Address" entity="contacts" id={id} fields={fields} names={ADDRESS} />
          <FieldsCard title="Sales" entity="contacts" id={id} fields={fields} names={SALES} />
        </>
      }
    >
      <OpenConflicts entity="contacts" id={id} />
      <TabBar label="About this contact" tabs={tabs} value={tab} onChange={setTab} />
    </RecordPage>
  );
}

function LeadsOf({ leads }: { leads: readonly Row<"leads">[] }) {
  const statuses = useById("status_options");
  if (leads.length === 0) {
    return <p className="px-4 py-6 text-center text-ink-3">No lead yet.</p>;
  }
  return (
    <ul className="divide-y">
      {leads.map(({ id, fields }) => {
        const status = statuses.get(fields.status_option_id ?? "");
        return (
          <li key={id}>
            <Link to="/leads/$id" params={{ id }} className="flex items-center gap-3 px-4 py-3 hover:bg-hover">
              <span className="min-w-0 flex-1 truncate font-medium">{fields.product_interest ?? "Lead"}</span>
              <Dot color={status?.fields.color}>{status?.fields.name ?? "No status"}</Dot>
              <span className="num w-24 text-right">{amount(fields.estimated_value, fields.currency)}</span>
            </Link>
          </li>
        );
      })}
    </ul>
  );
}
