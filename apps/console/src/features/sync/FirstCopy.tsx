/** What a list shows before this device has its first copy: not "nothing", because nobody knows yet. */

import { CloudOff } from "lucide-react";
import { Loading, Notice } from "../../components/States.tsx";
import { useStatus, useSyncView } from "../../data/sync.ts";
import { number } from "../../format/text.ts";

/** Whether the server has not told this device everything once. */
export function useIsFirst(): boolean {
  const meta = useStatus()?.meta;
  return meta === undefined || meta.lastSyncMs === 0;
}

export function FirstCopy({ what }: { what: string }) {
  const { kind } = useSyncView();
  const loading = useStatus()?.loading;
  return kind === "offline" || kind === "stopped" ? (
    <Notice icon={<CloudOff className="size-5" />} title="Not loaded yet">
      This device has not had its first copy from the server. It comes by itself when the network is back; what you add
      until then is kept.
    </Notice>
  ) : (
    <div className="flex flex-1 flex-col items-center">
      <Loading what={what} />
      {loading !== undefined && (
        <p role="status" className="num -mt-10 text-ink-3">
          {number(Math.min(loading.done, loading.total))} of {number(loading.total)} records
        </p>
      )}
    </div>
  );
}
