import { useEffect, useState } from "react";
import { Button } from "../components/Button.tsx";
import { onUpdate, takeOver } from "./service-worker.ts";

/** A new version waits: it takes over when the person says so, or when the last tab is closed. */
export function UpdateNotice() {
  const [isThere, setIsThere] = useState(false);
  useEffect(() => onUpdate(() => setIsThere(true)), []);
  return isThere ? (
    <div
      role="status"
      className="fixed inset-x-3 bottom-20 z-40 mx-auto flex max-w-sm items-center gap-3 rounded-xl border bg-surface px-4 py-3 shadow-pop sm:bottom-5"
    >
      <span className="flex-1">A new version is ready.</span>
      <Button tone="primary" onClick={takeOver}>
        Load it
      </Button>
    </div>
  ) : null;
}
