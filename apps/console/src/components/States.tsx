/** What a screen shows when there is nothing to show, and why. */

import { CloudOff, LoaderCircle, LogIn, TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import type { ApiFailure } from "../data/api.ts";
import { Button } from "./Button.tsx";

interface StateProps {
  readonly icon: ReactNode;
  readonly title: string;
  readonly children?: ReactNode;
  readonly action?: ReactNode;
}

export function Notice({ icon, title, children, action }: StateProps) {
  return (
    <div className="flex flex-1 flex-col items-center justify-center gap-2 px-6 py-16 text-center">
      <div className="mb-1 flex size-11 items-center justify-center rounded-full bg-sunken text-ink-3">{icon}</div>
      <h2 className="text-lg font-semibold">{title}</h2>
      <div className="max-w-md text-ink-2 text-pretty">{children}</div>
      {action !== undefined && <div className="mt-3 flex gap-2">{action}</div>}
    </div>
  );
}

export function Loading({ what }: { what: string }) {
  return (
    <div role="status" className="flex flex-1 items-center justify-center gap-2 py-16 text-ink-3">
      <LoaderCircle aria-hidden="true" className="size-4 animate-spin" />
      Loading {what} …
    </div>
  );
}

/** Why the server did not answer, and what to do. What is synced works on; this is about the rest. */
export function Failed({ error, onRetry }: { error: ApiFailure; onRetry: () => void }) {
  const again = <Button onClick={onRetry}>Try again</Button>;
  switch (error.failure) {
    case "offline":
      return (
        <Notice icon={<CloudOff className="size-5" />} title="Needs the network" action={again}>
          This page is asked of the server and is not kept on this device. Records go on working offline.
        </Notice>
      );
    case "sign_in_needed":
      return (
        <Notice icon={<LogIn className="size-5" />} title="Sign in again" action={again}>
          {error.message}
        </Notice>
      );
    case "refused":
      return (
        <Notice icon={<TriangleAlert className="size-5" />} title="The server said no" action={again}>
          {error.message}
        </Notice>
      );
  }
}
