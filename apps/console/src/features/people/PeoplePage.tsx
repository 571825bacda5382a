import { UserPlus, UserX } from "lucide-react";
import { useState } from "react";
import { PersonName } from "../../components/Avatar.tsx";
import { Badge } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { Choose } from "../../components/Choose.tsx";
import { Confirm, Dialog } from "../../components/Dialog.tsx";
import { Form, ShownOnce, TextField } from "../../components/Form.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { Page } from "../../components/Page.tsx";
import { Failed, Loading } from "../../components/States.tsx";
import { toast } from "../../components/toast.tsx";
import { ask, useRemote } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { ranks } from "../../data/schema.ts";
import { number, sentence } from "../../format/text.ts";

interface Person {
  readonly user_id: string;
  readonly email: string;
  readonly name: string;
  readonly status: string;
  readonly role: string;
  readonly read_scope: string;
  readonly member_status: string;
  readonly initial_password?: string;
}

const SCOPES = [
  { value: "all", label: "Everything" },
  { value: "team", label: "Their teams’ records" },
  { value: "own", label: "Their own records" },
];
/** The most the server gives at once; a larger workspace is administered over the API. */
const PEOPLE_MAX = 500;

/** Who is in the workspace, what they may do and what they see. */
export function PeoplePage() {
  const client = useClient();
  const me = useMe();
  const { remote, reload } = useRemote<{ readonly items: readonly Person[] }>(`/api/admin/users?limit=${PEOPLE_MAX}`);
  const [isAdding, setIsAdding] = useState(false);
  const [leaving, setLeaving] = useState<Person>();
  if (remote.state === "loading") {
    return <Loading what="people" />;
  }
  if (remote.state === "failed") {
    return (
      <Page title="People">
        <Failed error={remote.error} onRetry={() => void reload()} />
      </Page>
    );
  }
  const change = async (person: Person, body: object): Promise<void> => {
    const answer = await ask(client, `/api/admin/members/${person.user_id}`, { method: "PATCH", body });
    toast(answer.ok ? `${person.name} saved` : answer.error.message);
    await reload();
  };
  const mayChange = (person: Person): boolean => (ranks[person.role] ?? 0) <= me.rank && person.user_id !== me.userId;
  const columns: readonly ListColumn<Person>[] = [
    {
      label: "Name",
      render: ({ name }) => (
        <div className="max-w-32 md:max-w-64">
          <PersonName name={name} />
        </div>
      ),
    },
    { label: "E-mail", isExtra: true, render: ({ email }) => <span className="text-ink-2">{email}</span> },
    {
      label: "Role",
      render: (person) =>
        mayChange(person) ? (
          <Choose
            label={`Role of ${person.name}`}
            className="w-26 md:w-auto"
            value={person.role}
            options={rolesUpTo(me.rank)}
            onChange={(role) => void change(person, { role })}
          />
        ) : (
          sentence(person.role)
        ),
    },
    {
      label: "Sees",
      isExtra: true,
      render: (person) =>
        mayChange(person) ? (
          <Choose
            label={`What ${person.name} sees`}
            className="w-auto max-w-56"
            value={person.read_scope}
            options={SCOPES}
            onChange={(read_scope) => void change(person, { read_scope })}
          />
        ) : (
          SCOPES.find(({ value }) => value === person.read_scope)?.label
        ),
    },
    {
      label: "",
      isNumeric: true,
      render: (person) =>
        person.member_status === "revoked" ? (
          <span className="inline-flex flex-wrap items-center justify-end gap-2">
            <Badge tone="bad">No access</Badge>
            {mayChange(person) && (
              <Button onClick={() => void change(person, { status: "active" })}>Let back in</Button>
            )}
          </span>
        ) : (
          mayChange(person) && (
            <Button
              tone="quiet"
              aria-label={`Withdraw access of ${person.name}`}
              icon={<UserX className="size-4" />}
              onClick={() => setLeaving(person)}
            />
          )
        ),
    },
  ];
  return (
    <Page
      title="People"
      aside={number(remote.data.items.length)}
      actions={
        <Button tone="primary" data-create icon={<UserPlus className="size-4" />} onClick={() => setIsAdding(true)}>
          Add person
        </Button>
      }
    >
      <List label="People" rows={remote.data.items} idOf={({ user_id }) => user_id} columns={columns} />
      <Confirm
        isOpen={leaving !== undefined}
        onClose={() => setLeaving(undefined)}
        title={`Withdraw access of ${leaving?.name ?? ""}?`}
        deed="Withdraw access"
        onConfirm={() => leaving !== undefined && void change(leaving, { status: "revoked" })}
      >
        Every device of theirs is cut off within seconds, hands over what it has not sent, and deletes what it holds.
        Their records stay.
      </Confirm>
      <Dialog isOpen={isAdding} onClose={() => setIsAdding(false)} title="Add person">
        <NewPerson rank={me.rank} onAdded={() => void reload()} onClose={() => setIsAdding(false)} />
      </Dialog>
    </Page>
  );
}

/** Roles that somebody of this rank may give, the highest first. */
function rolesUpTo(rank: number): readonly { readonly value: string; readonly label: string }[] {
  return Object.entries(ranks)
    .filter(([role, of]) => of <= rank && role !== "integration")
    .map(([value]) => ({ value, label: sentence(value) }));
}

function NewPerson({ rank, onAdded, onClose }: { rank: number; onAdded: () => void; onClose: () => void }) {
  const client = useClient();
  const [name, setName] = useState("");
  const [email, setEmail] = useState("");
  const [role, setRole] = useState("agent");
  const [scope, setScope] = useState("team");
  const [added, setAdded] = useState<Person>();
  const add = async (): Promise<string | undefined> => {
    const answer = await ask<Person>(client, "/api/admin/users", {
      method: "POST",
      body: { name: name.trim(), email: email.trim(), role, read_scope: scope },
    });
    if (!answer.ok) {
      return answer.error.message;
    }
    setAdded(answer.value);
    onAdded();
    return undefined;
  };
  return added !== undefined ? (
    <ShownOnce what="the password" text={added.initial_password ?? ""} onClose={onClose}>
      {added.name} can sign in with this password. It is shown only now; hand it over in person.
    </ShownOnce>
  ) : (
    <Form deed="Add person" onSubmit={add} onClose={onClose}>
      <TextField label="Name" required text={name} onText={setName} />
      <TextField label="E-mail" type="email" required text={email} onText={setEmail} />
      <div className="grid grid-cols-2 gap-3">
        <Choose label="Role" className="w-full" value={role} options={rolesUpTo(rank)} onChange={setRole} />
        <Choose label="Sees" className="w-full" value={scope} options={SCOPES} onChange={setScope} />
      </div>
    </Form>
  );
}
