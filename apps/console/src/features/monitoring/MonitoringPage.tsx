import { TriangleAlert } from "lucide-react";
import { type ReactNode, useMemo } from "react";
import { Badge, type Tone } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { Card, Page } from "../../components/Page.tsx";
import { Failed, Loading } from "../../components/States.tsx";
import { useRemote } from "../../data/api.ts";
import { useById, useLive } from "../../data/live.ts";
import { RANK_ADMIN, useMe } from "../../data/me.ts";
import { useStatus, useSyncView } from "../../data/sync.ts";
import { counted, fileSize, number, sentence } from "../../format/text.ts";
import { ago, duration } from "../../format/value.ts";
import { useTheme } from "../../shell/theme.ts";
import { faceOf } from "../sync/face.tsx";
import { Chart } from "./Chart.tsx";
import { complaintsOf, type Sample } from "./samples.ts";
import { type ClientLag, useSamples } from "./useSamples.ts";

const VERDICTS: Readonly<Record<string, Tone>> = { ok: "good", connected: "good", degraded: "warn", failing: "bad" };
/** Clients that are listed, those that are furthest behind first. */
const CLIENTS_MAX = 50;

/** How this device and the server are. The charts begin when the page is opened. */
export function MonitoringPage() {
  const isAdmin = useMe().rank >= RANK_ADMIN;
  const { samples, health, error, retry } = useSamples();
  return (
    <Page
      title="Monitoring"
      aside={
        health !== undefined && (
          <Badge tone={VERDICTS[health.status] ?? "warn"}>
            {health.status === "ok" ? "All well" : sentence(health.status)}
          </Badge>
        )
      }
    >
      <div className="flex flex-col gap-4">
        {health !== undefined && <Complaints of={complaintsOf(health)} />}
        <ThisDevice />
        {error !== undefined && <Failed error={error} onRetry={retry} />}
        {error === undefined && health === undefined && <Loading what="figures of the server" />}
        {health !== undefined && (
          <>
            <Figures samples={samples} health={health} />
            <Charts samples={samples} />
            {isAdmin && <Alerts />}
            {isAdmin && <Clients />}
          </>
        )}
      </div>
    </Page>
  );
}

/** What stands behind a status that is not well. */
function Complaints({ of }: { of: readonly string[] }) {
  return of.length === 0 ? null : (
    <ul
      aria-label="Why the server is not well"
      className="flex flex-col gap-1 rounded-xl border border-warn/30 bg-warn-soft px-4 py-3 text-warn"
    >
      {of.map((complaint) => (
        <li key={complaint} className="flex items-start gap-2">
          <TriangleAlert aria-hidden="true" className="mt-0.5 size-4 shrink-0" />
          {complaint}
        </li>
      ))}
    </ul>
  );
}

/** Known without a network. */
function ThisDevice() {
  const status = useStatus();
  const face = faceOf(useSyncView(), Date.now());
  const conflicts = useLive("conflicts").rows;
  const open = conflicts.filter(({ fields }) => fields.state === "open").length;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Figure
        label="This device"
        value={face.label}
        detail={
          status?.meta !== undefined && status.meta.lastSyncMs > 0
            ? `last in step ${ago(status.meta.lastSyncMs, Date.now())}`
            : "not yet in step"
        }
      />
      <Figure
        label="Waiting here"
        value={number(status?.pending ?? 0)}
        detail={`${counted(status?.rejected ?? 0, "change")} rejected`}
      />
      <Figure label="Conflicts" value={number(open)} detail={`${number(conflicts.length - open)} decided`} />
      <Figure
        label="Integrity"
        value={(status?.meta?.repairs ?? 0) === 0 ? "Intact" : counted(status?.meta?.repairs ?? 0, "repair")}
        detail="the same as the server’s"
      />
    </div>
  );
}

function Figure({ label, value, detail }: { label: string; value: ReactNode; detail?: ReactNode }) {
  return (
    <div className="min-w-0 rounded-xl border bg-surface px-4 py-3 shadow-card">
      <div className="text-xs font-medium text-ink-3">{label}</div>
      <div className="num mt-0.5 truncate text-xl font-semibold">{value}</div>
      <div className="truncate text-sm text-ink-2">{detail}</div>
    </div>
  );
}

const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 2 });

function Figures({
  samples,
  health,
}: {
  samples: readonly Sample[];
  health: NonNullable<ReturnType<typeof useSamples>["health"]>;
}) {
  const { hub, service, database, system, bus, writer } = health.components;
  const latest = samples.at(-1);
  const errors = service?.error_rate;
  return (
    <div className="grid grid-cols-2 gap-3 lg:grid-cols-4">
      <Figure
        label="Round trip"
        value={`${latest?.roundTripMs ?? 0} ms`}
        detail={database?.response_ms === undefined ? "from here to the server" : `database ${database.response_ms} ms`}
      />
      {hub !== undefined && (
        <Figure
          label="Connections"
          value={number(hub.connections)}
          detail={bus?.nodes === undefined ? "live" : counted(bus.nodes, "node")}
        />
      )}
      {errors !== undefined && (
        <Figure
          label="Answered well"
          value={percent.format(1 - errors)}
          detail={`of ${counted(service?.requests ?? 0, "request")}`}
        />
      )}
      {service?.response_p95_ms != null && (
        <Figure
          label="95 % within"
          value={`${service.response_p95_ms} ms`}
          detail={`half within ${service.response_p50_ms ?? 0} ms`}
        />
      )}
      {writer !== undefined && (
        <Figure label="Write queue" value={number(writer.queue_depth)} detail={`of ${number(writer.queue_max)}`} />
      )}
      {system?.process_resident_bytes != null && (
        <Figure
          label="Memory"
          value={fileSize(system.process_resident_bytes)}
          detail={system.memory_available_bytes == null ? "" : `${fileSize(system.memory_available_bytes)} left`}
        />
      )}
      {system?.disk_free_bytes != null && (
        <Figure label="Disk" value={fileSize(system.disk_free_bytes)} detail="free" />
      )}
      {health.uptime_s !== undefined && (
        <Figure label="Running" value={duration(health.uptime_s * 1_000)} detail={`version ${health.version ?? ""}`} />
      )}
    </div>
  );
}

function Charts({ samples }: { samples: readonly Sample[] }) {
  const [theme] = useTheme();
  // The theme is what the charts are drawn with, so a new one draws them anew.
  // biome-ignore lint/correctness/useExhaustiveDependencies: see above
  const data = useMemo(
    () => ({
      times: samples.map(({ atMs }) => atMs / 1_000),
      trips: [{ label: "Round trip", color: "--c-accent", values: samples.map(({ roundTripMs }) => roundTripMs) }],
      connections: [{ label: "Connections", color: "--c-info", values: samples.map(({ connections }) => connections) }],
      waiting: [
        { label: "Waiting on devices", color: "--c-warn", values: samples.map(({ pending }) => pending) },
        { label: "Furthest behind", color: "--c-info", values: samples.map(({ lag }) => lag) },
      ],
    }),
    [samples, theme],
  );
  const hasConnections = samples.some(({ connections }) => connections !== null);
  return (
    <div className="grid grid-cols-1 gap-4 lg:grid-cols-2">
      <Card title="Round trip">
        <Chart label="Round trip" times={data.times} series={data.trips} unit=" ms" />
      </Card>
      {hasConnections && (
        <Card title="Connections">
          <Chart label="Connections" times={data.times} series={data.connections} unit="" />
        </Card>
      )}
      <Card title="Changes under way">
        <Chart label="Changes under way" times={data.times} series={data.waiting} unit="" />
      </Card>
    </div>
  );
}

interface Alert {
  readonly key: string;
  readonly severity: string;
  readonly state: "firing" | "resolved";
  readonly summary: string;
  readonly since_ms: number;
}

/** Ids in the words of an alert: they are for programs. */
const ID = /\s+[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\s+/g;

/** What is wrong, and what was lately. */
function Alerts() {
  const { remote } = useRemote<{ readonly items: readonly Alert[] }>("/api/admin/alerts");
  if (remote.state !== "ready" || remote.data.items.length === 0) {
    return null;
  }
  return (
    <Card title="Alerts">
      <ul className="divide-y">
        {remote.data.items.map(({ key, state, summary, since_ms }) => (
          <li key={`${key} ${since_ms}`} className="flex flex-wrap items-center gap-3 px-4 py-2.5">
            <Badge tone={state === "firing" ? "bad" : "good"}>{state === "firing" ? "Firing" : "Over"}</Badge>
            <span className="min-w-0 flex-1">{summary.replace(ID, " ")}</span>
            <time className="text-ink-3">{ago(since_ms, Date.now())}</time>
          </li>
        ))}
      </ul>
    </Card>
  );
}

interface NamedDevice {
  readonly device_id: string;
  readonly user_id: string;
  readonly name: string;
}

/** Asked once, and when somebody wants to know: each look of an administrator is written down. */
function Clients() {
  const { remote, reload } = useRemote<{ readonly items: readonly ClientLag[] }>("/api/admin/clients");
  const named = useRemote<{ readonly items: readonly NamedDevice[] }>("/api/admin/devices").remote;
  const users = useById("users");
  const devices = new Map(named.state === "ready" ? named.data.items.map((device) => [device.device_id, device]) : []);
  const columns: readonly ListColumn<ClientLag>[] = [
    {
      label: "Device",
      render: ({ device_id }) => {
        const device = devices.get(device_id);
        return (
          <div className="wrap-anywhere">
            <div className="font-medium">{device?.name ?? "A device that is gone"}</div>
            <div className="text-sm text-ink-3">{users.get(device?.user_id ?? "")?.fields.name}</div>
          </div>
        );
      },
    },
    { label: "Reported", isExtra: true, render: ({ reported_ms }) => ago(reported_ms, Date.now()) },
    { label: "Behind", isNumeric: true, render: ({ lag }) => (lag === 0 ? "in step" : counted(lag, "change")) },
    { label: "Waiting", isNumeric: true, render: ({ pending_count }) => number(pending_count) },
    {
      label: "Oldest waits since",
      isExtra: true,
      render: ({ oldest_pending_ms }) => (oldest_pending_ms === null ? "" : ago(oldest_pending_ms, Date.now())),
    },
  ];
  if (remote.state !== "ready") {
    return null;
  }
  const behind = (a: ClientLag, b: ClientLag): number => b.pending_count - a.pending_count || b.lag - a.lag;
  const furthest = [...remote.data.items].sort(behind).slice(0, CLIENTS_MAX);
  return (
    <section>
      <header className="mb-2 flex items-center justify-between">
        <h2 className="font-semibold">Everybody’s devices, furthest behind first</h2>
        <Button onClick={() => void reload()}>Look again</Button>
      </header>
      <List
        label="Devices and how far they are"
        rows={furthest}
        idOf={({ client_id }) => client_id}
        columns={columns}
      />
    </section>
  );
}
