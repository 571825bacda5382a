import { Pencil, ShieldOff } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { Badge } from "../../components/Badge.tsx";
import { Button } from "../../components/Button.tsx";
import { Confirm, Dialog } from "../../components/Dialog.tsx";
import { List, type ListColumn } from "../../components/List.tsx";
import { ModeName } from "../../components/Modes.tsx";
import { Page } from "../../components/Page.tsx";
import { Failed, Loading } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { ask, useRemote } from "../../data/api.ts";
import { useById, useClient } from "../../data/live.ts";
import { RANK_ADMIN, useMe } from "../../data/me.ts";
import { number } from "../../format/text.ts";
import { ago } from "../../format/value.ts";

interface Device {
  readonly device_id: string;
  readonly user_id: string;
  readonly name: string;
  readonly deployment_mode: string;
  readonly created_ms: number;
  readonly last_seen_ms: number;
  readonly revoked_ms: number | null;
  readonly is_current: boolean;
}

/** Devices that may sync: one's own; an administrator sees everybody's. */
export function DevicesPage() {
  const client = useClient();
  const { rank } = useMe();
  const isAdmin = rank >= RANK_ADMIN;
  const users = useById("users");
  const { remote, reload } = useRemote<{ readonly items: readonly Device[] }>(
    isAdmin ? "/api/admin/devices" : "/api/auth/devices",
  );
  const [renamed, setRenamed] = useState<Device>();
  const [revoked, setRevoked] = useState<Device>();
  const live = useConnections();
  if (remote.state === "loading") {
    return <Loading what="devices" />;
  }
  if (remote.state === "failed") {
    return (
      <Page title="Devices">
        <Failed error={remote.error} onRetry={() => void reload()} />
      </Page>
    );
  }
  const devices = [...remote.data.items].sort(
    (a, b) => Number(a.revoked_ms !== null) - Number(b.revoked_ms !== null) || b.last_seen_ms - a.last_seen_ms,
  );
  const revoke = async (device: Device): Promise<void> => {
    const answer = await ask(client, `/api/auth/devices/${device.device_id}`, { method: "DELETE" });
    toast(answer.ok ? `${device.name} has no access any more` : answer.error.message);
    await reload();
  };
  const personOf = (device: Device): string => users.get(device.user_id)?.fields.name ?? "Former member";
  const seenOf = ({ device_id, last_seen_ms }: Device): string =>
    live.has(device_id) ? "Connected" : ago(last_seen_ms, Date.now());
  const columns: readonly ListColumn<Device>[] = [
    {
      label: "Device",
      render: (device) => (
        <div>
          <div className="flex flex-wrap items-center gap-x-2 gap-y-1 font-medium">
            <span className="wrap-anywhere">{device.name}</span>
            {device.is_current && <Badge tone="accent">This one</Badge>}
          </div>
          <div className="text-sm text-ink-3 md:hidden">
            {isAdmin && `${personOf(device)} · `}
            {seenOf(device)}
          </div>
        </div>
      ),
    },
    ...(isAdmin ? [{ label: "Person", isExtra: true, render: personOf }] : []),
    { label: "Kind", isExtra: true, render: (device) => <ModeName mode={device.deployment_mode} /> },
    {
      label: "Last seen",
      isExtra: true,
      render: (device) =>
        live.has(device.device_id) ? (
          <Badge tone="good">Connected</Badge>
        ) : (
          <span className="text-ink-2">{seenOf(device)}</span>
        ),
    },
    { label: "Since", isExtra: true, render: (device) => ago(device.created_ms, Date.now()) },
    {
      label: "",
      isNumeric: true,
      render: (device) =>
        device.revoked_ms !== null ? (
          <Badge>Revoked</Badge>
        ) : (
          <span className="inline-flex gap-1">
            <Button
              tone="quiet"
              aria-label={`Rename ${device.name}`}
              icon={<Pencil className="size-4" />}
              onClick={() => setRenamed(device)}
            />
            <Button
              tone="quiet"
              aria-label={`Revoke ${device.name}`}
              icon={<ShieldOff className="size-4" />}
              onClick={() => setRevoked(device)}
            />
          </span>
        ),
    },
  ];
  return (
    <Page
      title="Devices"
      aside={`${number(devices.filter(({ revoked_ms }) => revoked_ms === null).length)}, ${number(
        devices.filter(({ device_id }) => live.has(device_id)).length,
      )} connected now`}
    >
      <List label="Devices" rows={devices} idOf={({ device_id }) => device_id} columns={columns} />
      <Confirm
        isOpen={revoked !== undefined}
        onClose={() => setRevoked(undefined)}
        title={`Revoke ${revoked?.name ?? ""}?`}
        deed="Revoke"
        onConfirm={() => revoked !== undefined && void revoke(revoked)}
      >
        It is cut off within seconds, hands over what it has not sent, and deletes everything it holds.
      </Confirm>
      <Dialog isOpen={renamed !== undefined} onClose={() => setRenamed(undefined)} title="Rename device">
        {renamed !== undefined && (
          <Rename
            device={renamed}
            onDone={() => {
              setRenamed(undefined);
              void reload();
            }}
          />
        )}
      </Dialog>
    </Page>
  );
}

/** How often it is asked who is connected. */
const LIVE_MS = 10_000;

/** Devices that are connected at this moment, as the server sees them. */
function useConnections(): ReadonlySet<string> {
  const { remote, reload } = useRemote<{ readonly connections: readonly { readonly device_id: string }[] }>(
    "/api/presence",
  );
  useEffect(() => {
    const timer = setInterval(() => attempt(reload()), LIVE_MS);
    return () => clearInterval(timer);
  }, [reload]);
  return new Set(remote.state === "ready" ? remote.data.connections.map(({ device_id }) => device_id) : []);
}

function Rename({ device, onDone }: { device: Device; onDone: () => void }) {
  const client = useClient();
  const [name, setName] = useState(device.name);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const answer = await ask(client, `/api/auth/devices/${device.device_id}`, {
      method: "PATCH",
      body: { name: name.trim() },
    });
    if (answer.ok) {
      onDone();
    } else {
      toast(answer.error.message);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} className="flex gap-2">
      <input
        aria-label="Name"
        required
        maxLength={100}
        className="control"
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      <Button type="submit" tone="primary">
        Rename
      </Button>
    </form>
  );
}
