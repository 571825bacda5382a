import type { AnyClient } from "@syncline/sdk";
import type { CrmEntities } from "@syncline/sdk/crm";
import { hooksFor, SynclineProvider, usePresence, useSyncState } from "@syncline/sdk/react";
import { useState } from "react";

const { useMutation, useQuery, useRecord } = hooksFor<CrmEntities>();

export function App({ client, id }: { client: AnyClient<CrmEntities>; id: string }) {
  return (
    <SynclineProvider client={client}>
      <People />
      <JobTitle id={id} />
    </SynclineProvider>
  );
}

function People() {
  const { state, rows } = useQuery("contacts", { where: { tags: "navy" }, sort: "lastname" });
  const loading = useSyncState()?.loading;
  if (state === "loading") {
    return <p>Reading…</p>;
  }
  return (
    <ul aria-label="People">
      {rows.map(({ id, fields }) => (
        <li key={id}>{fields.lastname}</li>
      ))}
      {loading && <li>{`${loading.done} of ${loading.total} records are here`}</li>}
    </ul>
  );
}

function JobTitle({ id }: { id: string }) {
  const contact = useRecord("contacts", id);
  const contacts = useMutation("contacts");
  const [isEditing, setEditing] = useState(false);
  const { viewers } = usePresence("contacts", id, isEditing);
  return (
    <label>
      {viewers.some((viewer) => viewer.isEditing) && "Somebody else is changing this. "}
      Job title
      <input
        value={contact?.fields.job_title ?? ""}
        onFocus={() => setEditing(true)}
        onBlur={() => setEditing(false)}
        onChange={({ target }) => void contacts.update(id, { job_title: target.value })}
      />
    </label>
  );
}
