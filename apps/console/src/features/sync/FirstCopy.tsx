/** What a list shows before this device has its first copy: not "nothing", because nobody knows yet. */

import { CloudOff } from "lucide-react";
import { Loading, Notice } from "../../components/States.tsx";
import { useStatus, useSyncView } from "../../data/sync.ts";

/** Whether the server has not told this device everything once. */
export function useIsFirst(): boolean {
  const meta = useStatus()?.meta;
  return meta === undefined || meta.lastSyncMs === 0;
}

export function FirstCopy({ what }: { what: string }) {
  const { kind } = useSyncView();
  return kind === "offline" || kind === "stopped" ? (
    <Notice icon={<CloudOff className="size-5" />} title="Not loaded yet">
      This device has not had its first copy from the server. It comes by itself when the network is back; what you add
      until then is kept.
    </Notice>
  ) : (
    <Loading what={what} />
  );
}
