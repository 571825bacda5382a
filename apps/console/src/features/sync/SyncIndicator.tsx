/** The one place that says whether what the person did is safe. */

import { Popover } from "@base-ui/react/popover";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { Button, buttonClass } from "../../components/Button.tsx";
import { cx } from "../../components/cx.ts";
import { Dialog } from "../../components/Dialog.tsx";
import { useMe } from "../../data/me.ts";
import { useSyncView } from "../../data/sync.ts";
import { workOffline } from "../../data/workOffline.ts";
import { SignInForm } from "../auth/SignIn.tsx";
import { faceOf } from "./face.tsx";

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
              {view.kind !== "sign_in_needed" && view.kind !== "stopped" && view.kind !== "starting" && (
                <Button
                  className="mt-3 w-full"
                  onClick={() => workOffline(!(view.kind === "offline" && view.isChosen))}
                >
                  {view.kind === "offline" && view.isChosen ? "Go online" : "Work offline"}
                </Button>
              )}
              {(view.kind === "rejected" || (view.kind === "offline" && view.rejected > 0)) && (
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
