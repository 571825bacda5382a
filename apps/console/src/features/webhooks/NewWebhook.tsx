import { type FormEvent, useId, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { useBusy } from "../../components/useBusy.ts";
import { ask } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import { Secret, type Webhook } from "./WebhooksPage.tsx";

/** An outgoing webhook; incoming ones need a mapping, which is given over the API. */
export function NewWebhook({ onAdded, onClose }: { onAdded: () => void; onClose: () => void }) {
  const client = useClient();
  const ids = { name: useId(), url: useId(), events: useId() };
  const [name, setName] = useState("");
  const [url, setUrl] = useState("");
  const [events, setEvents] = useState("*");
  const [error, setError] = useState("");
  const [added, setAdded] = useState<Webhook>();
  const [isBusy, once] = useBusy();
  const submit = async (): Promise<void> => {
    const patterns = events.split(/[\s,]+/).filter((pattern) => pattern !== "");
    const answer = await ask<Webhook>(client, "/api/admin/webhooks", {
      method: "POST",
      body: { direction: "outgoing", name: name.trim(), url: url.trim(), events: patterns },
    });
    if (answer.ok) {
      setAdded(answer.value);
      onAdded();
    } else {
      setError(answer.error.message);
    }
  };
  if (added !== undefined) {
    return <Secret name={added.name} secret={added.secret ?? ""} onClose={onClose} />;
  }
  return (
    <form
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        once(submit);
      }}
      className="flex flex-col gap-4"
    >
      <div className="flex flex-col gap-1">
        <label htmlFor={ids.name} className="font-medium">
          Name
        </label>
        <input
          id={ids.name}
          required
          maxLength={100}
          className="control"
          value={name}
          onChange={({ target }) => setName(target.value)}
        />
      </div>
      <div className="flex flex-col gap-1">
        <label htmlFor={ids.url} className="font-medium">
          Address
        </label>
        <input
          id={ids.url}
          type="url"
          required
          placeholder="https://example.com/hook"
          className="control"
          value={url}
          onChange={({ target }) => setUrl(target.value)}
        />
      </div>
      <div className="flex flex-col gap-1">
        <label htmlFor={ids.events} className="font-medium">
          Told of
        </label>
        <input
          id={ids.events}
          required
          className="control"
          value={events}
          onChange={({ target }) => setEvents(target.value)}
        />
        <p className="text-sm text-ink-3">
          A star is everything; “leads.*” all about leads, “leads.created” new ones alone. Commas between several.
        </p>
      </div>
      {error !== "" && (
        <p role="alert" className="text-bad">
          {error}
        </p>
      )}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" tone="primary" disabled={isBusy}>
          Add webhook
        </Button>
      </div>
    </form>
  );
}
