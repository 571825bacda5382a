/** What the page has seen of the server since it was opened: a bounded series of samples. Pure. */

/** The server's own account of itself, as far as this page shows it. */
export interface Health {
  readonly status: string;
  readonly version?: string;
  readonly uptime_s?: number;
  readonly components: {
    readonly database?: { readonly status?: string; readonly response_ms?: number };
    readonly writer?: { readonly queue_depth: number; readonly queue_max: number };
    readonly hub?: { readonly connections: number };
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
