/** From a page that was just loaded to a device somebody is signed in on. */

import { Database, LockKeyhole, ShieldAlert } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { Button } from "../components/Button.tsx";
import { Loading, Notice } from "../components/States.tsx";
import { toast } from "../components/toast.tsx";
import { type Crm, openClient } from "../data/client.ts";
import { ClientContext } from "../data/live.ts";
import { useStatus } from "../data/sync.ts";
import { SignInScreen } from "../features/auth/SignIn.tsx";
import { counted } from "../format/text.ts";

type Opened =
  | { readonly state: "opening" }
  | { readonly state: "open"; readonly client: Crm }
  | { readonly state: "failed"; readonly message: string }
  /** Browsers give encryption and locks only to pages over HTTPS, or of this machine itself. */
  | { readonly state: "insecure" };

let opening: Promise<Crm> | undefined;

/** One device per page, however often React mounts. */
function open(): Promise<Crm> {
  opening ??= openClient(({ pending }) => {
    const lost =
      pending > 0
        ? `${counted(pending, "change")} had not reached the server.`
        : "Nothing was lost: the server has everything.";
    toast("The browser has deleted the copy on this device", { detail: `${lost} Sign in to load it again.` });
  });
  return opening;
}

export function Opening({ children }: { children: ReactNode }) {
  const [opened, setOpened] = useState<Opened>(() => ({ state: isSecureContext ? "opening" : "insecure" }));
  useEffect(() => {
    if (!isSecureContext) {
      return;
    }
    open().then(
      (client) => setOpened({ state: "open", client }),
      (error: unknown) =>
        setOpened({ state: "failed", message: error instanceof Error ? error.message : String(error) }),
    );
  }, []);
  switch (opened.state) {
    case "opening":
      return <Loading what="this device" />;
    case "insecure":
      return (
        <Notice icon={<ShieldAlert className="size-5" />} title="This address needs HTTPS">
          Over http, browsers let a page neither encrypt what it keeps nor work offline, except at 127.0.0.1 and
          localhost. Open Syncline at its https address, or ask whoever runs it for one.
        </Notice>
      );
    case "failed":
      return (
        <Notice
          icon={<Database className="size-5" />}
          title="The store of this device does not open"
          action={<Button onClick={() => location.reload()}>Load again</Button>}
        >
          {opened.message}. A private window may forbid it, or the disk may be full.
        </Notice>
      );
    case "open":
      return (
        <ClientContext value={opened.client}>
          <Door>{children}</Door>
        </ClientContext>
      );
  }
}

const NOTICES: Readonly<Record<string, string>> = {
  device_revoked: "Access of this device was withdrawn. What had not been sent was handed to your administrator.",
};

/** Lets in who is signed in, with or without a network. */
function Door({ children }: { children: ReactNode }) {
  const status = useStatus();
  if (status === undefined) {
    return <Loading what="this device" />;
  }
  const { meta, isLocked, phase } = status;
  if (meta === undefined || meta.purged !== undefined) {
    const notice = NOTICES[meta?.purged ?? ""];
    return <SignInScreen {...(notice !== undefined && { notice })} />;
  }
  if (isLocked && phase === "signed_out") {
    return (
      <SignInScreen notice="This copy was away from the server for longer than your workspace allows. Sign in to open it; what you had not sent is kept." />
    );
  }
  if (isLocked) {
    return (
      <Notice icon={<LockKeyhole className="size-5" />} title="This copy is locked">
        This device was away from the server for longer than your workspace allows. Connect to the network: it opens by
        itself, and {counted(status.pending, "change")} of yours {status.pending === 1 ? "is" : "are"} kept.
      </Notice>
    );
  }
  return children;
}
