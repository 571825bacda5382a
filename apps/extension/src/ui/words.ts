/** What the state is called on screens: one state, one sentence. */

import type { State } from "../messages.ts";

export interface Indicator {
  readonly tone: "good" | "busy" | "waiting" | "bad";
  readonly text: string;
}

export function indicatorOf(state: State, nowMs: number): Indicator {
  const { pending } = state;
  const waiting = pending === 0 ? "" : ` ${countOf(pending)} kept here.`;
  const refused = state.refused === 0 ? "" : ` ${state.refused} refused.`;
  if (state.server === undefined) {
    return { tone: "bad", text: `Choose your server in the options.${waiting}` };
  }
  if (state.isLocked) {
    return { tone: "bad", text: `This browser was offline too long: connect to unlock it.${waiting}` };
  }
  switch (state.phase) {
    case "unknown":
      return { tone: "bad", text: `${state.problem ?? "The local store cannot be opened."}${waiting}` };
    case "stopped":
      return { tone: "bad", text: `Syncing has stopped: update the extension or sign in anew.${waiting}` };
    case "signed_out":
      return { tone: "bad", text: `Not signed in.${waiting}` };
    case "connecting":
      return { tone: "busy", text: `Connecting…${waiting}` };
    case "live":
      return pending === 0
        ? state.refused > 0
          ? { tone: "bad", text: `${state.refused === 1 ? "1 capture needs" : `${state.refused} captures need`} you.` }
          : { tone: "good", text: "Everything is on the server." }
        : { tone: "busy", text: `Sending ${countOf(pending)}…` };
    case "offline":
      return pending === 0
        ? { tone: "waiting", text: `In step as of ${ago(state.lastSyncMs, nowMs)}.${refused}` }
        : { tone: "waiting", text: `Offline.${waiting}${refused}` };
  }
}

function countOf(pending: number): string {
  return pending === 1 ? "1 change" : `${pending} changes`;
}

/** How long ago a moment is, coarsely. */
export function ago(thenMs: number, nowMs: number): string {
  if (thenMs === 0) {
    return "never";
  }
  const minutes = Math.floor(Math.max(nowMs - thenMs, 0) / 60_000);
  if (minutes < 1) {
    return "just now";
  }
  const [count, unit] =
    minutes < 60
      ? [minutes, "minute"]
      : minutes < 1_440
        ? [Math.floor(minutes / 60), "hour"]
        : [Math.floor(minutes / 1_440), "day"];
  return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}
