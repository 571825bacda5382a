import { CloudOff } from "lucide-react";
import { type FormEvent, useId, useState } from "react";
import { Button } from "../../components/Button.tsx";
import { useClient } from "../../data/live.ts";
import { useIsOnline } from "../../data/sync.ts";

interface SignInProps {
  /** Why somebody is asked, when it is not for the first time. */
  readonly notice?: string;
  /** The address that must sign in again, when the device is somebody's. */
  readonly email?: string;
  readonly onDone?: () => void;
}

/** E-mail and password; the workspace only when the person is in several. */
export function SignInForm({ notice, email: known, onDone }: SignInProps) {
  const client = useClient();
  const isOnline = useIsOnline();
  const ids = { email: useId(), password: useId(), workspace: useId(), error: useId() };
  const [email, setEmail] = useState(known ?? "");
  const [password, setPassword] = useState("");
  const [workspace, setWorkspace] = useState("");
  const [needsWorkspace, setNeedsWorkspace] = useState(false);
  const [error, setError] = useState("");
  const [isBusy, setIsBusy] = useState(false);
  const submit = async (event: FormEvent): Promise<void> => {
    event.preventDefault();
    setIsBusy(true);
    setError("");
    const signed = await client
      .signIn({ email: email.trim(), password, ...(workspace.trim() !== "" && { workspace: workspace.trim() }) })
      .catch((thrown: unknown) => ({
        ok: false as const,
        error: { failure: "unreachable" as const, message: String(thrown) },
      }));
    if (signed.ok) {
      onDone?.();
      return;
    }
    setIsBusy(false);
    const { error: failure } = signed;
    if (failure.failure === "refused") {
      setNeedsWorkspace((needs) => needs || failure.problem.field === "workspace");
      setError(failure.problem.message);
    } else {
      setError("The server cannot be reached. Check the network and try again.");
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
      {notice !== undefined && <p className="rounded-lg bg-warn-soft px-3 py-2 text-warn">{notice}</p>}
      {!isOnline && (
        <p className="flex items-center gap-2 rounded-lg bg-sunken px-3 py-2 text-ink-2">
          <CloudOff aria-hidden="true" className="size-4 shrink-0" />
          Signing in needs the network; afterwards everything works without it.
        </p>
      )}
      <div className="flex flex-col gap-1">
        <label htmlFor={ids.email} className="font-medium">
          E-mail
        </label>
        <input
          id={ids.email}
          className="control"
          type="email"
          autoComplete="username"
          required
          // biome-ignore lint/a11y/noAutofocus: the page has nothing else to do
          autoFocus={known === undefined}
          readOnly={known !== undefined}
          value={email}
          onChange={(event) => setEmail(event.target.value)}
        />
      </div>
      <div className="flex flex-col gap-1">
        <label htmlFor={ids.password} className="font-medium">
          Password
        </label>
        <input
          id={ids.password}
          className="control"
          type="password"
          autoComplete="current-password"
          required
          aria-invalid={error !== ""}
          aria-describedby={error === "" ? undefined : ids.error}
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
      </div>
      {needsWorkspace && (
        <div className="flex flex-col gap-1">
          <label htmlFor={ids.workspace} className="font-medium">
            Workspace
          </label>
          <input
            id={ids.workspace}
            className="control"
            required
            value={workspace}
            onChange={(event) => setWorkspace(event.target.value)}
          />
        </div>
      )}
      {error !== "" && (
        <p id={ids.error} role="alert" className="text-bad">
          {error}
        </p>
      )}
      <Button type="submit" tone="primary" disabled={isBusy} className="w-full">
        {isBusy ? "Signing in …" : "Sign in"}
      </Button>
    </form>
  );
}

/** The whole screen, for a device that is nobody's. */
export function SignInScreen({ notice }: { notice?: string }) {
  return (
    <main className="flex min-h-full items-center justify-center p-4">
      <div className="w-full max-w-sm">
        <div className="mb-6 flex flex-col items-center gap-3 text-center">
          <img src="/icon.svg" alt="" className="size-12" />
          <div>
            <h1 className="text-xl font-semibold tracking-tight">Sign in to Syncline</h1>
            <p className="text-ink-2">Your leads, on this device and in step with your team.</p>
          </div>
        </div>
        <div className="rounded-2xl border bg-surface p-6 shadow-card">
          <SignInForm {...(notice !== undefined && { notice })} />
        </div>
      </div>
    </main>
  );
}
