import { Monitor, Moon, Sun } from "lucide-react";
import { type FormEvent, type ReactNode, useCallback, useEffect, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { cx } from "../../components/cx.ts";
import { Confirm } from "../../components/Dialog.tsx";
import { TextField } from "../../components/Form.tsx";
import { Card, Page } from "../../components/Page.tsx";
import { toast } from "../../components/toast.tsx";
import { ask } from "../../data/api.ts";
import { useClient } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { fileSize, sentence } from "../../format/text.ts";
import { type Theme, useTheme } from "../../shell/theme.ts";

const THEMES: readonly { readonly value: Theme; readonly label: string; readonly icon: ReactNode }[] = [
  { value: "system", label: "As the system", icon: <Monitor className="size-4" /> },
  { value: "light", label: "Light", icon: <Sun className="size-4" /> },
  { value: "dark", label: "Dark", icon: <Moon className="size-4" /> },
];

export function SettingsPage() {
  const me = useMe();
  return (
    <Page title="Settings">
      <div className="flex max-w-2xl flex-col gap-4">
        <Card title="You">
          <dl className="grid grid-cols-[8rem_1fr] gap-y-2 px-4 py-3">
            <dt className="text-ink-3">Name</dt>
            <dd>{me.name}</dd>
            <dt className="text-ink-3">E-mail</dt>
            <dd>{me.email}</dd>
            <dt className="text-ink-3">Role</dt>
            <dd>{sentence(me.role)}</dd>
            <dt className="text-ink-3">Workspace</dt>
            <dd>{me.workspace}</dd>
          </dl>
        </Card>
        <Appearance />
        <Storage />
        <Password />
        <Everywhere />
      </div>
    </Page>
  );
}

function Appearance() {
  const [theme, setTheme] = useTheme();
  return (
    <Card title="Appearance">
      <div role="radiogroup" aria-label="Theme" className="grid grid-cols-3 gap-2 p-4">
        {THEMES.map(({ value, label, icon }) => (
          <button
            key={value}
            type="button"
            role="radio"
            aria-checked={theme === value}
            onClick={() => setTheme(value)}
            className={cx(
              "flex flex-col items-center gap-1.5 rounded-lg border px-3 py-3 font-medium",
              theme === value ? "border-accent bg-accent-soft text-accent" : "hover:bg-hover",
            )}
          >
            {icon}
            {label}
          </button>
        ))}
      </div>
    </Card>
  );
}

/** What the browser keeps here, and whether it promised not to delete it by itself. */
function Storage() {
  const [kept, setKept] = useState<{ readonly bytes: number; readonly isPersistent: boolean }>();
  const read = useCallback(async (): Promise<void> => {
    const { usage = 0 } = await navigator.storage.estimate();
    setKept({ bytes: usage, isPersistent: await navigator.storage.persisted() });
  }, []);
  useEffect(() => {
    void read();
  }, [read]);
  const persist = async (): Promise<void> => {
    const isGranted = await navigator.storage.persist();
    toast(isGranted ? "The browser keeps the copy" : "The browser did not agree; installing the console helps");
    await read();
  };
  return (
    <Card title="This device">
      <div className="flex flex-wrap items-center gap-3 px-4 py-3">
        <p className="min-w-0 flex-1 text-ink-2">
          {kept === undefined
            ? "Measuring …"
            : `${fileSize(kept.bytes)} are kept here. ${kept.isPersistent ? "The browser has promised not to delete them by itself." : "The browser may delete them when it needs room or after a long time; what had been sent is loaded again then."}`}
        </p>
        {kept?.isPersistent === false && <Button onClick={() => void persist()}>Ask to keep</Button>}
      </div>
    </Card>
  );
}

function Password() {
  const client = useClient();
  const [held, setHeld] = useState("");
  const [next, setNext] = useState("");
  const [error, setError] = useState("");
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    const answer = await ask(client, "/api/auth/password", {
      method: "POST",
      body: { current_password: held, new_password: next },
    });
    setError(answer.ok ? "" : answer.error.message);
    if (answer.ok) {
      setHeld("");
      setNext("");
      toast("Password changed");
    }
  };
  return (
    <Card title="Password">
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3 p-4">
        <div className="grid grid-cols-1 gap-3 sm:grid-cols-2">
          <TextField
            label="Current password"
            type="password"
            autoComplete="current-password"
            required
            text={held}
            onText={setHeld}
          />
          <TextField
            label="New password"
            type="password"
            autoComplete="new-password"
            required
            minLength={10}
            text={next}
            onText={setNext}
          />
        </div>
        {error !== "" && (
          <p role="alert" className="text-bad">
            {error}
          </p>
        )}
        <Button type="submit" className="self-start">
          Change password
        </Button>
      </form>
    </Card>
  );
}

function Everywhere() {
  const client = useClient();
  const [isAsking, setIsAsking] = useState(false);
  const leave = async (): Promise<void> => {
    const answer = await ask(client, "/api/auth/logout", { method: "POST", body: { everywhere: true } });
    toast(answer.ok ? "Every device must sign in again" : answer.error.message);
  };
  return (
    <Card title="Sessions">
      <div className="flex flex-wrap items-center gap-3 px-4 py-3">
        <p className="min-w-0 flex-1 text-ink-2">
          End every sign-in of yours, also this one. What the devices have not sent stays on them.
        </p>
        <Button tone="danger" onClick={() => setIsAsking(true)}>
          Sign out everywhere
        </Button>
      </div>
      <Confirm
        isOpen={isAsking}
        onClose={() => setIsAsking(false)}
        title="Sign out everywhere?"
        deed="Sign out everywhere"
        onConfirm={() => void leave()}
      >
        Each device asks for the password before it syncs again.
      </Confirm>
    </Card>
  );
}
