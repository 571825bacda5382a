/** Addresses of the console. The server serves the page at each of them (`crates/server/src/http/console.rs`). */

import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
  useNavigate,
} from "@tanstack/react-router";
import { useCallback } from "react";
import { BoardPage } from "./features/board/BoardPage.tsx";
import { ConflictPage } from "./features/conflicts/ConflictPage.tsx";
import { ConflictsPage } from "./features/conflicts/ConflictsPage.tsx";
import { viewOf } from "./features/conflicts/work.ts";
import { ContactPage } from "./features/contacts/ContactPage.tsx";
import { CONTACTS, ContactsPage } from "./features/contacts/ContactsPage.tsx";
import { DevicesPage } from "./features/devices/DevicesPage.tsx";
import { LeadPage } from "./features/leads/LeadPage.tsx";
import { LeadsPage } from "./features/leads/LeadsPage.tsx";
import { type LeadSearch, readLeadSearch, writeLeadSearch } from "./features/leads/search.ts";
import { OPPORTUNITIES, OpportunitiesPage } from "./features/opportunities/OpportunitiesPage.tsx";
import { OpportunityPage } from "./features/opportunities/OpportunityPage.tsx";
import { PeoplePage } from "./features/people/PeoplePage.tsx";
import { type ListDefaults, type ListSearch, readListSearch, writeListSearch } from "./features/record/listSearch.ts";
import { RejectedPage } from "./features/rejected/RejectedPage.tsx";
import { SettingsPage } from "./features/settings/SettingsPage.tsx";
import { TasksPage } from "./features/tasks/TasksPage.tsx";
import { Broken } from "./shell/Broken.tsx";
import { NotFound } from "./shell/NotFound.tsx";
import { Shell } from "./shell/Shell.tsx";

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });
const getParentRoute = () => root;

const home = createRoute({
  getParentRoute,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/leads" });
  },
});

type Raw = Readonly<Record<string, unknown>>;

/** What an address says beside its path: read from it, and changed without a new entry in the browser's history. */
function useAddress<S extends object>(
  raw: Raw,
  read: (raw: Raw) => S,
  write: (search: S) => Raw,
): readonly [S, (change: Partial<S>) => void] {
  const navigate = useNavigate();
  const onChange = useCallback(
    (change: Partial<S>) =>
      void navigate({ to: ".", search: ((held: Raw) => write({ ...read(held), ...change })) as never, replace: true }),
    [navigate, read, write],
  );
  return [read(raw), onChange];
}

function useListAddress(
  raw: Raw,
  defaults: ListDefaults,
): readonly [ListSearch, (change: Partial<ListSearch>) => void] {
  const read = useCallback((of: Raw) => readListSearch(of, defaults), [defaults]);
  const write = useCallback((search: ListSearch): Raw => writeListSearch(search, defaults), [defaults]);
  return useAddress(raw, read, write);
}

/** One word of an address. */
const readWord = (raw: Raw): { readonly q: string } => ({ q: raw.q === undefined ? "" : String(raw.q) });
const writeWord = ({ q }: { readonly q: string }): Raw => ({ q: q === "" ? undefined : q });

const leads = createRoute({
  getParentRoute,
  path: "/leads",
  component: function Leads() {
    const [search, onSearch] = useAddress<LeadSearch>(leads.useSearch(), readLeadSearch, writeLeadSearch);
    return <LeadsPage search={search} onSearch={onSearch} />;
  },
});
const lead = createRoute({
  getParentRoute,
  path: "/leads/$id",
  component: function Lead() {
    const { id } = lead.useParams();
    return <LeadPage key={id} id={id} />;
  },
});
const board = createRoute({
  getParentRoute,
  path: "/board",
  component: function Board() {
    const [{ q }, onChange] = useAddress(board.useSearch(), readWord, writeWord);
    const onQuery = useCallback((next: string) => onChange({ q: next }), [onChange]);
    return <BoardPage q={q} onQuery={onQuery} />;
  },
});
const contacts = createRoute({
  getParentRoute,
  path: "/contacts",
  component: function Contacts() {
    const [search, onSearch] = useListAddress(contacts.useSearch(), CONTACTS);
    return <ContactsPage search={search} onSearch={onSearch} />;
  },
});
const contact = createRoute({
  getParentRoute,
  path: "/contacts/$id",
  component: function Contact() {
    const { id } = contact.useParams();
    return <ContactPage key={id} id={id} />;
  },
});
const duplicates = createRoute({
  getParentRoute,
  path: "/contacts/duplicates",
  component: lazyRouteComponent(() => import("./features/duplicates/DuplicatesPage.tsx"), "DuplicatesPage"),
});
const opportunities = createRoute({
  getParentRoute,
  path: "/opportunities",
  component: function Opportunities() {
    const [search, onSearch] = useListAddress(opportunities.useSearch(), OPPORTUNITIES);
    return <OpportunitiesPage search={search} onSearch={onSearch} />;
  },
});
const opportunity = createRoute({
  getParentRoute,
  path: "/opportunities/$id",
  component: function Opportunity() {
    const { id } = opportunity.useParams();
    return <OpportunityPage key={id} id={id} />;
  },
});
const tasks = createRoute({
  getParentRoute,
  path: "/tasks",
  component: function Tasks() {
    const [{ q }, onChange] = useAddress(tasks.useSearch(), readWord, writeWord);
    return <TasksPage whose={q} onWhose={(user) => onChange({ q: user })} />;
  },
});
const conflicts = createRoute({
  getParentRoute,
  path: "/conflicts",
  component: function Conflicts() {
    const [{ q }, onChange] = useAddress(conflicts.useSearch(), readWord, writeWord);
    return <ConflictsPage view={viewOf(q)} onView={(view) => onChange({ q: view === "open" ? "" : view })} />;
  },
});
const conflict = createRoute({
  getParentRoute,
  path: "/conflicts/$id",
  component: function Conflict() {
    const { id } = conflict.useParams();
    return <ConflictPage key={id} id={id} />;
  },
});
const rejected = createRoute({ getParentRoute, path: "/rejected", component: RejectedPage });
const devices = createRoute({ getParentRoute, path: "/devices", component: DevicesPage });
const people = createRoute({ getParentRoute, path: "/people", component: PeoplePage });
const imports = createRoute({
  getParentRoute,
  path: "/import",
  component: lazyRouteComponent(() => import("./features/transfer/ImportPage.tsx"), "ImportPage"),
});
const exports = createRoute({
  getParentRoute,
  path: "/export",
  component: lazyRouteComponent(() => import("./features/transfer/ExportPage.tsx"), "ExportPage"),
});
const monitoring = createRoute({
  getParentRoute,
  path: "/monitoring",
  component: lazyRouteComponent(() => import("./features/monitoring/MonitoringPage.tsx"), "MonitoringPage"),
});
const audit = createRoute({
  getParentRoute,
  path: "/audit",
  component: lazyRouteComponent(() => import("./features/audit/AuditPage.tsx"), "AuditPage"),
});
const messages = createRoute({
  getParentRoute,
  path: "/messages",
  component: lazyRouteComponent(() => import("./features/messages/MessagesPage.tsx"), "MessagesPage"),
});
const webhooks = createRoute({
  getParentRoute,
  path: "/webhooks",
  component: lazyRouteComponent(() => import("./features/webhooks/WebhooksPage.tsx"), "WebhooksPage"),
});
const settings = createRoute({ getParentRoute, path: "/settings", component: SettingsPage });

const routeTree = root.addChildren([
  home,
  leads,
  lead,
  board,
  contacts,
  duplicates,
  contact,
  opportunities,
  opportunity,
  tasks,
  conflicts,
  conflict,
  rejected,
  devices,
  people,
  imports,
  exports,
  messages,
  webhooks,
  monitoring,
  audit,
  settings,
]);

export const router = createRouter({
  routeTree,
  defaultPreload: false,
  scrollRestoration: false,
  defaultErrorComponent: Broken,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
