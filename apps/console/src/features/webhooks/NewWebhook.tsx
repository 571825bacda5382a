import { useState } from "react";
import { Form, ShownOnce, TextField } from "../../components/Form.tsx";
import { ask } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import type { Webhook } from "./WebhooksPage.tsx";

/** An outgoing webhook; incoming ones need a mapping, which is given over the API. */
export function NewWebhook({ onAdded, onClose }: { onAdded: () => void; onClose: () => void }) {
  const client = useClient();
  const [name, setName] = useState("");
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState("*");
  const [added, setAdded] = useState<Webhook>();
  const add = async (): Promise<string | undefined> => {
    const patterns = events.split(/[\s,]+/).filter((pattern) => pattern !== "");
    const answer = await ask<Webhook>(client, "/api/admin/webhooks", {
      method: "POST",
      body: { direction: "outgoing", name: name.trim(), url: url.trim(), events: patterns },
    });
    if (!answer.ok) {
      return answer.error.message;
    }
    setAdded(answer.value);
    onAdded();
    return undefined;
  };
  return added !== undefined ? (
    <ShownOnce what="the secret" text={added.secret ?? ""} onClose={onClose}>
      {added.name} is signed with this secret. It is shown only now.
    </ShownOnce>
  ) : (
    <Form deed="Add webhook" onSubmit={add} onClose={onClose}>
      <TextField label="Name" required maxLength={100} text={name} onText={setName} />
      <TextField
        label="Address"
        type="url"
        required
        placeholder="https://example.com/hook"
        text={url}
        onText={setUrl}
      />
      <TextField
        label="Told of"
        required
        text={events}
        onText={setEvents}
        hint="A star is everything; “leads.*” all about leads, “leads.created” new ones alone. Commas between several."
      />
    </Form>
  );
}
