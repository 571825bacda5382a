/** Downloading a scope, page by page, so that an interruption costs one page (spec §13). */

import { decodeSnapshotLine } from "../protocol/decode.ts";
import type { WireOp } from "../protocol/frames.ts";
import { SNAPSHOT_LINE_CHARS_MAX } from "../protocol/limits.ts";
import type { Input } from "../session/state.ts";
import type { Auth } from "./auth.ts";

export interface Download {
  readonly scope: string;
  readonly url: string;
  readonly resume?: string;
}

/** Rows handed over at a time when a page is longer: what one step of the store holds. */
const ROWS_PER_STEP = 2_000;
/** Longest silence while an answer is being received. */
const READ_TIMEOUT_MS = 60_000;

/**
 * Downloads and feeds rows, waiting for each step: the stream is read no faster than the store writes. Resolves when the
 * end or the failure was fed; after `signal` nothing is fed any more.
 */
export async function download(
  auth: Auth,
  { scope, url, resume }: Download,
  signal: AbortSignal,
  feed: (input: Input) => Promise<void>,
): Promise<void> {
  const timeout = new AbortController();
  const reads = AbortSignal.any([signal, timeout.signal]);
  const path = resume === undefined ? url : `${url}&resume=${encodeURIComponent(resume)}`;
  let isLost = false;
  try {
    const response = await auth.get(path, reads);
    if (response.ok) {
      if (await stream(response.value, timeout, signal, scope, feed)) {
        return;
      }
    } else if (response.error.failure === "refused") {
      const { class: kind } = response.error.problem;
      isLost = kind !== "transient" && kind !== "session";
    }
  } catch {
    // Cut off, or no token to be had: the session asks again from the last page that was stored.
  }
  if (!signal.aborted) {
    await feed({ input: "snapshot_failed", scope, isLost });
  }
}

/** Whether the end came. */
async function stream(
  response: Response,
  timeout: AbortController,
  signal: AbortSignal,
  scope: string,
  feed: (input: Input) => Promise<void>,
): Promise<boolean> {
  let rows: WireOp[] = [];
  const next = async (input: Input): Promise<void> => (signal.aborted ? undefined : feed(input));
  const flush = (resume?: string): Promise<void> => {
    const page = rows;
    rows = [];
    return next({ input: "snapshot_rows", scope, rows: page, ...(resume !== undefined && { resume }) });
  };
  for await (const lines of linesOf(response, timeout)) {
    for (const line of lines) {
      const decoded = decodeSnapshotLine(line);
      switch (decoded.kind) {
        case "row":
          rows.push(decoded.row);
          if (rows.length >= ROWS_PER_STEP) {
            await flush();
          }
          break;
        case "page":
          await flush(decoded.resume);
          break;
        case "end":
          await flush();
          await next({ input: "snapshot_end", scope, seq: decoded.seq });
          return true;
        case "malformed":
          return false;
      }
    }
  }
  return false;
}

/** The whole lines of each chunk. Throws when the connection breaks, stays silent, or sends a line without end. */
async function* linesOf(response: Response, timeout: AbortController): AsyncGenerator<string[]> {
  const reader = response.body?.getReader();
  if (reader === undefined) {
    return;
  }
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const timer = setTimeout(() => timeout.abort(), READ_TIMEOUT_MS);
    const { value, done } = await reader.read().finally(() => clearTimeout(timer));
    const lines = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = lines.pop() ?? "";
    yield lines;
    if (done) {
      return;
    }
    if (rest.length > SNAPSHOT_LINE_CHARS_MAX) {
      throw new Error("a line of the snapshot is too long");
    }
  }
}
