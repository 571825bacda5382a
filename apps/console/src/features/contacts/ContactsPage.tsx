import { Link, useNavigate } from "@tanstack/react-router";
import { CopyCheck, Users } from "lucide-react";
import { useMemo } from "react";
import { Avatar, PersonName } from "../../components/Avatar.tsx";
import { buttonClass } from "../../components/Button.tsx";
import type { Column } from "../../components/VirtualTable.tsx";
import { type Row, useById, useLive } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { ago, createdMs } from "../../format/value.ts";
import { PendingMark } from "../leads/columns.tsx";
import { ContactIndex } from "../leads/duplicates.ts";
import { CreateDialog } from "../record/CreateDialog.tsx";
import { ListPage, type ListRow } from "../record/ListPage.tsx";
import type { ListDefaults, ListSearch } from "../record/listSearch.ts";
import { contactName } from "../record/titles.ts";
import { WHO_FIELDS, whoErrors } from "./who.ts";

interface ContactRow extends ListRow {
  readonly contact: Row<"contacts">;
  readonly name: string;
  readonly owner: string | undefined;
}

export const CONTACTS: ListDefaults = {
  sorts: ["name", "company", "owner", "created"],
  sort: "name",
  isDescending: false,
};

const rowsByContact = new WeakMap<Row<"contacts">, ContactRow>();

const COLUMNS: readonly Column<ContactRow>[] = [
  {
    key: "name",
    label: "Name",
    width: "minmax(11rem, 2fr)",
    render: ({ name, contact }) => (
      <span className="flex min-w-0 items-center gap-2.5">
        <Avatar name={name} />
        <span className="truncate font-medium">{name}</span>
        {contact.state === "pending" && <PendingMark />}
      </span>
    ),
  },
  {
    key: "company",
    label: "Company",
    width: "minmax(8rem, 1.6fr)",
    render: ({ contact }) => <span className="text-ink-2">{contact.fields.company_name}</span>,
  },
  {
    key: "email",
    label: "E-mail",
    width: "minmax(9rem, 2fr)",
    from: "md",
    canSort: false,
    render: ({ contact }) => <span className="text-ink-2">{contact.fields.email}</span>,
  },
  {
    key: "phone",
    label: "Phone",
    width: "9rem",
    from: "lg",
    canSort: false,
    render: ({ contact }) => <span className="num text-ink-2">{contact.fields.phone_number}</span>,
  },
  {
    key: "owner",
    label: "Assigned to",
    width: "minmax(8rem, 1.2fr)",
    from: "lg",
    render: ({ owner }) => <PersonName name={owner} />,
  },
  {
    key: "created",
    label: "Created",
    width: "8rem",
    from: "xl",
    render: ({ id }) => <span className="text-ink-2">{ago(createdMs(id), Date.now())}</span>,
  },
];

const KEYS: Readonly<Record<string, (row: ContactRow) => string | number>> = {
  name: ({ name }) => name.toLowerCase(),
  company: ({ contact }) => contact.fields.company_name?.toLowerCase() ?? "",
  owner: ({ owner }) => owner?.toLowerCase() ?? "",
  created: ({ id }) => createdMs(id),
};

/** In the place of a user: what was put away, whoever has it. */
const ARCHIVED = "archived";

const isOwnedBy = ({ contact }: ContactRow, user: string): boolean =>
  user === ARCHIVED || contact.fields.assigned_to === user;

export function ContactsPage({
  search,
  onSearch,
}: {
  search: ListSearch;
  onSearch: (change: Partial<ListSearch>) => void;
}) {
  const navigate = useNavigate();
  const { state, rows: contacts } = useLive("contacts");
  const users = useById("users");
  const people = useLive("users", { sort: "name" }).rows;
  // Put away is what nobody works with any more: it is shown when it is asked for, and by itself.
  const isArchive = search.filter === ARCHIVED;
  const held = useMemo(
    () => contacts.filter(({ fields }) => (fields.is_archived === true) === isArchive),
    [contacts, isArchive],
  );
  const rows = useMemo(
    () =>
      held.map((contact): ContactRow => {
        const owner = users.get(contact.fields.assigned_to ?? "")?.fields.name;
        const known = rowsByContact.get(contact);
        if (known !== undefined && known.owner === owner) {
          return known;
        }
        const { email, phone_number, company_name, job_title, city, tags } = contact.fields;
        const name = contactName(contact);
        const words = [name, email, phone_number, company_name, job_title, city, ...(tags ?? [])];
        const row = {
          id: contact.id,
          contact,
          name,
          owner,
          haystack: words
            .filter((word) => word !== undefined)
            .join("\n")
            .toLowerCase(),
        };
        rowsByContact.set(contact, row);
        return row;
      }),
    [held, users],
  );
  const open = (id: string): void => void navigate({ to: "/contacts/$id", params: { id } });
  return (
    <ListPage
      entity="contacts"
      title="Contacts"
      noun={["contact", "contacts"]}
      icon={<Users className="size-5" />}
      state={state}
      rows={rows}
      columns={COLUMNS}
      keys={KEYS}
      search={search}
      onSearch={onSearch}
      filter={{
        label: "Assigned to",
        none: "Assigned to anybody",
        options: [
          ...people.map(({ id, fields }) => ({ value: id, label: fields.name ?? "" })),
          { value: ARCHIVED, label: "Archived" },
        ],
        matches: isOwnedBy,
      }}
      onOpen={({ id }) => open(id)}
      actions={
        <Link to="/contacts/duplicates" className={buttonClass()}>
          <CopyCheck aria-hidden="true" className="size-4" />
          <span className="max-sm:sr-only">Duplicates</span>
        </Link>
      }
      renderCard={({ name, contact }) => (
        <div className="flex items-center gap-3">
          <Avatar name={name} />
          <div className="min-w-0 flex-1">
            <div className="truncate font-medium">{name}</div>
            <div className="truncate text-sm text-ink-2">{contact.fields.company_name ?? contact.fields.email}</div>
          </div>
        </div>
      )}
      form={(props) => <NewContact {...props} onCreated={open} />}
    />
  );
}

const FIELDS = [...WHO_FIELDS, "company_name", "job_title", "city", "country", "assigned_to", "tags"];

function NewContact({
  isOpen,
  onClose,
  onCreated,
}: {
  isOpen: boolean;
  onClose: () => void;
  onCreated: (id: string) => void;
}) {
  const { userId } = useMe();
  const contacts = useLive("contacts").rows;
  const index = useMemo(() => new ContactIndex(contacts), [contacts]);
  return (
    <CreateDialog
      entity="contacts"
      names={FIELDS}
      isOpen={isOpen}
      onClose={onClose}
      onCreated={onCreated}
      defaults={{ assigned_to: userId }}
      check={whoErrors}
      hint={(texts) => {
        const match = index.find(texts.email, texts.phone_number);
        return match === undefined ? null : (
          <p role="status" className="rounded-lg bg-warn-soft px-3 py-2 text-warn">
            {contactName(match.contact)} has the same {match.by} already. You can add the contact all the same.
          </p>
        );
      }}
    />
  );
}
