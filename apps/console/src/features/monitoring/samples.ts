/** What the page has seen of the server since it was opened: a bounded series of samples, and what is wrong. Pure. */

import { fileSize, number } from "../../format/text.ts";

/** The server's own account of itself, as far as this page shows it. */
export interface Health {
  readonly status: string;
  readonly version?: string;
  readonly uptime_s?: number;
  readonly components: {
    readonly database?: { readonly status?: string; readonly is_ok?: boolean; readonly response_ms?: number };
    readonly writer?: { readonly status?: string; readonly queue_depth: number; readonly queue_max: number };
    readonly hub?: { readonly status?: string; readonly connections: number };
    readonly bus?: { readonly status: string; readonly nodes?: number };
    readonly system?: {
      readonly status?: string;
      readonly cpu_load?: number | null;
      readonly process_resident_bytes?: number | null;
      readonly memory_available_bytes?: number | null;
      readonly memory_total_bytes?: number | null;
      readonly disk_free_bytes?: number | null;
      readonly disk_total_bytes?: number | null;
    };
    readonly service?: {
      readonly status?: string;
      readonly requests?: number;
      readonly error_rate?: number;
      readonly sync_error_rate?: number;
      readonly response_p50_ms?: number | null;
      readonly response_p95_ms?: number | null;
      readonly response_p99_ms?: number | null;
    };
  };
}

export interface Sample {
  readonly atMs: number;
  /** From here to the server and back; milliseconds. */
  readonly roundTripMs: number;
  readonly connections: number | null;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  /** Mutations that wait on devices of the workspace, as they last reported. */
  readonly pending: number | null;
  /** Of the device that is furthest behind; mutations. */
  readonly lag: number | null;
}

/** Ten minutes at a sample every five seconds. */
export const SAMPLES_MAX = 120;

/** The series with one sample more; the oldest go. */
export function withSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...samples, sample].slice(-SAMPLES_MAX);
}

/** Time that a chart shows at least; seconds. */
const SPAN_MIN_S = 300;
/** Share of it that is left free at the end, so that the last sample does not stand on the edge. */
const MARGIN = 0.02;

/** From when to when a chart reaches: to the last sample, from the first one or some minutes ago. Seconds. */
export function spanOf(times: readonly number[]): [from: number, to: number] {
  const to = times.at(-1) ?? 0;
  const from = Math.min(times[0] ?? 0, to - SPAN_MIN_S);
  return [from, to + (to - from) * MARGIN];
}

/** Beneath these shares the server counts as short of memory and of disk. */
const MEMORY_FREE_MIN = 0.05;
const DISK_FREE_MIN = 0.1;

/** Why the server is not well, a sentence for each part that is not. The thresholds are the server's. */
export function complaintsOf({ components }: Health): readonly string[] {
  const { database, writer, hub, bus, service } = components;
  const isBad = (part: { readonly status?: string } | undefined): boolean =>
    part?.status !== undefined && part.status !== "ok";
  const said: string[] = [];
  if (isBad(database)) {
    said.push(
      database?.is_ok === false
        ? "The database does not answer."
        : `The database is slow: it took ${number(database?.response_ms ?? 0)} ms to answer.`,
    );
  }
  if (isBad(writer)) {
    said.push(
      `Changes queue up: ${number(writer?.queue_depth ?? 0)} of ${number(writer?.queue_max ?? 0)} places are taken.`,
    );
  }
  if (isBad(hub)) {
    said.push("The server is about to stop and takes no new connections.");
  }
  if (isBad(components.system)) {
    said.push(...shortages(components.system ?? {}));
  }
  if (isBad(service)) {
    said.push(
      `Answers are slow or fail: 95 % came within ${number(service?.response_p95_ms ?? 0)} ms, and ${share(service?.error_rate)} of the requests and ${share(service?.sync_error_rate)} of the changes failed.`,
    );
  }
  if (bus !== undefined && bus.status !== "connected" && bus.status !== "ok") {
    said.push("The nodes do not reach each other: what others do shows up later, and nothing is lost.");
  }
  return said;
}

/** What the machine is short of. */
function shortages(system: NonNullable<Health["components"]["system"]>): readonly string[] {
  const { memory_available_bytes: memory, memory_total_bytes: memoryAll } = system;
  const { disk_free_bytes: disk, disk_total_bytes: diskAll, cpu_load: load } = system;
  const isShort = (free: number | null | undefined, all: number | null | undefined, least: number): free is number =>
    free != null && all != null && all > 0 && free / all < least;
  const said = [
    ...(isShort(disk, diskAll, DISK_FREE_MIN) ? [`The disk is nearly full: ${fileSize(disk)} are left.`] : []),
    ...(isShort(memory, memoryAll, MEMORY_FREE_MIN) ? [`Memory runs short: ${fileSize(memory)} are left.`] : []),
  ];
  return said.length > 0
    ? said
    : [`The machine is busy: ${(load ?? 0).toFixed(1)} programs wait for each of its processors.`];
}

const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });

function share(rate: number | undefined): string {
  return percent.format(rate ?? 0);
}
