/** The one place that says whether what the person did is safe. */

import { Popover } from "@base-ui/react/popover";
import { Link } from "@tanstack/react-router";
import { Check, CircleAlert, CloudOff, LoaderCircle, LogIn } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Button, buttonClass } from "../../components/Button.tsx";
import { cx } from "../../components/cx.ts";
import { Dialog } from "../../components/Dialog.tsx";
import { useMe } from "../../data/me.ts";
import { type SyncView, useSyncView } from "../../data/sync.ts";
import { counted } from "../../format/text.ts";
import { ago } from "../../format/value.ts";
import { SignInForm } from "../auth/SignIn.tsx";

interface Face {
  readonly tone: string;
  readonly icon: ReactNode;
  readonly label: string;
  /** What it means and what to do. */
  readonly detail: string;
}

const spin = <LoaderCircle aria-hidden="true" className="size-4 animate-spin" />;
const changes = (count: number): string => counted(count, "change");
const waiting = (count: number): string =>
  count === 0
    ? "Nothing waits to be sent."
    : `${changes(count)} safe on this device, and sent by itself when the network is back.`;

/** How each state looks and reads. */
export function faceOf(view: SyncView, nowMs: number): Face {
  switch (view.kind) {
    case "starting":
      return { tone: "text-ink-3", icon: spin, label: "Opening …", detail: "Reading what this device has." };
    case "loading":
      return {
        tone: "text-info",
        icon: spin,
        label: "Loading records",
        detail: "The first copy is on its way. You can work already.",
      };
    case "connecting":
      return {
        tone: "text-info",
        icon: spin,
        label: view.pending > 0 ? `Connecting · ${changes(view.pending)}` : "Connecting …",
        detail: waiting(view.pending),
      };
    case "syncing":
      return {
        tone: "text-info",
        icon: spin,
        label: `Saving ${changes(view.pending)}`,
        detail: "On the way to the server. They are safe on this device already.",
      };
    case "saved":
      return {
        tone: "text-good",
        icon: <Check aria-hidden="true" className="size-4" />,
        label: "All saved",
        detail:
          view.lastSyncMs > 0
            ? `The server has everything. In step since ${ago(view.lastSyncMs, nowMs)}.`
            : "The server has everything.",
      };
    case "offline":
      return {
        tone: "text-warn",
        icon: <CloudOff aria-hidden="true" className="size-4" />,
        label: view.pending > 0 ? `Offline · ${changes(view.pending)}` : "Offline",
        detail: `You can go on working. ${waiting(view.pending)}`,
      };
    case "rejected":
      return {
        tone: "text-bad",
        icon: <CircleAlert aria-hidden="true" className="size-4" />,
        label: `${changes(view.rejected)} rejected`,
        detail: "The server could not accept them. Their values are kept until you edit or discard them.",
      };
    case "sign_in_needed":
      return {
        tone: "text-warn",
        icon: <LogIn aria-hidden="true" className="size-4" />,
        label: "Sign in again",
        detail: `Your sign-in has ended. ${view.pending > 0 ? `${changes(view.pending)} wait on this device.` : "Nothing is lost."}`,
      };
    case "stopped":
      return {
        tone: "text-bad",
        icon: <CircleAlert aria-hidden="true" className="size-4" />,
        label: "Sync has stopped",
        detail: STOPPED[view.code] ?? "The server refuses this device. Ask an administrator; nothing here is deleted.",
      };
  }
}

const STOPPED: Readonly<Record<string, string>> = {
  proto_unsupported: "This page is too old for the server. Load it again.",
  backend_mismatch: "Another server answers at this address. Nothing is sent to it, and nothing here is deleted.",
  device_revoked: "Access of this device was withdrawn.",
};

export function SyncIndicator({ isCompact = false }: { isCompact?: boolean }) {
  const view = useSyncView();
  const { email } = useMe();
  const [isSigningIn, setIsSigningIn] = useState(false);
  const face = faceOf(view, Date.now());
  return (
    <>
      <Popover.Root>
        <Popover.Trigger
          className={cx(
            "flex min-h-8.5 items-center gap-2 rounded-lg px-2.5 text-left font-medium hover:bg-hover",
            face.tone,
            !isCompact && "w-full",
          )}
        >
          {face.icon}
          <span role="status" data-sync={view.kind} className="truncate">
            {face.label}
          </span>
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Positioner
            side={isCompact ? "bottom" : "top"}
            align={isCompact ? "end" : "start"}
            sideOffset={6}
            className="z-50"
          >
            <Popover.Popup className="w-72 rounded-xl border bg-surface p-4 shadow-pop outline-none">
              <Popover.Title className={cx("font-semibold", face.tone)}>{face.label}</Popover.Title>
              <Popover.Description className="mt-1 text-ink-2">{face.detail}</Popover.Description>
              {view.kind === "sign_in_needed" && (
                <Button tone="primary" className="mt-3 w-full" onClick={() => setIsSigningIn(true)}>
                  Sign in
                </Button>
              )}
              {view.kind === "rejected" && (
                <Popover.Close
                  nativeButton={false}
                  render={
                    <Link to="/rejected" className={cx(buttonClass("plain"), "mt-3 w-full")}>
                      Look at them
                    </Link>
                  }
                />
              )}
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      </Popover.Root>
      <Dialog
        isOpen={isSigningIn}
        onClose={() => setIsSigningIn(false)}
        title="Sign in again"
        description="What waits on this device is sent afterwards."
      >
        <SignInForm {...(email !== "" && { email })} onDone={() => setIsSigningIn(false)} />
      </Dialog>
    </>
  );
}
