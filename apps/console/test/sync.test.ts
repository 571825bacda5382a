import type { Status } from "@syncline/sdk";
import { describe, expect, it } from "vitest";
import { syncView } from "../src/data/sync.ts";
import { faceOf } from "../src/features/sync/face.tsx";

const META = {
  workspaceId: "w",
  userId: "u",
  deviceId: "d",
  clientId: "c",
  cursor: 9,
  nextClientSeq: 1,
  decidedUpto: 0,
  lastSyncMs: 5,
  leaseUntilMs: 0,
  repairs: 0,
};
const status = (change: Partial<Status>): Status => ({
  phase: "live",
  pending: 0,
  rejected: 0,
  isLocked: false,
  meta: META,
  ...change,
});

describe("[SYNC-8] one indicator", () => {
  const cases: readonly [what: string, status: Status | undefined, isOnline: boolean, kind: string][] = [
    ["nothing was read yet", undefined, true, "starting"],
    ["everything is with the server", status({}), true, "saved"],
    ["changes are on their way", status({ pending: 2 }), true, "syncing"],
    ["the first copy is on its way", status({ meta: { ...META, lastSyncMs: 0 } }), true, "loading"],
    ["there is no network", status({ phase: "waiting", pending: 1 }), false, "offline"],
    ["the server does not answer", status({ phase: "waiting" }), true, "offline"],
    ["the browser knows before the socket does", status({ pending: 1 }), false, "offline"],
    ["it is trying", status({ phase: "greeting" }), true, "connecting"],
    ["trying without a network is offline", status({ phase: "connecting" }), false, "offline"],
    ["rejected changes need a person", status({ rejected: 1 }), true, "rejected"],
    ["rejected changes do not hide that there is no network", status({ rejected: 1, pending: 2 }), false, "offline"],
    [
      "a sign-in that ended comes before everything",
      status({ phase: "signed_out", rejected: 1 }),
      true,
      "sign_in_needed",
    ],
    [
      "nothing can be kept here, which comes before all",
      status({ storeFailure: "storage_full" }),
      true,
      "store_failed",
    ],
    ["it ended for good", status({ phase: "stopped" }), true, "stopped"],
  ];
  it.each(cases)("%s", (_, given, isOnline, kind) => {
    expect(syncView(given, isOnline).kind).toBe(kind);
  });
  it("working offline is offline by choice, and says what waits and what was rejected", () => {
    const view = syncView(status({ pending: 2, rejected: 1 }), true, true);
    expect(view).toEqual({ kind: "offline", pending: 2, rejected: 1, isChosen: true });
    expect(faceOf(view, 0).label).toBe("Working offline · 2 changes · 1 rejected");
  });
  it("what is on its way is said beside what was rejected", () => {
    expect(faceOf(syncView(status({ pending: 2, rejected: 1 }), true), 0).label).toBe(
      "1 change rejected · 2 on the way",
    );
  });
});
