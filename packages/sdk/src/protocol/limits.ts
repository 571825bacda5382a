/** Named limits of everything that could grow (invariant 10). What happens at each is written beside it. */

/** A frame of ours. A larger one would close the connection. */
export const FRAME_BYTES_MAX = 256 * 1024;
/** Ops of one mutation. More: refused as `too_large`. */
export const OPS_PER_MUTATION_MAX = 256;
/** Mutations of one push frame. */
export const MUTATIONS_PER_PUSH_MAX = 100;
/** Push frames that may be unanswered until the server says otherwise. */
export const PUSH_WINDOW = 4;
/** Ranges of one `verify`. */
export const VERIFY_RANGES_MAX = 64;
/** Records of one `fetch`. */
export const FETCH_RECORDS_MAX = 512;
/** Milliseconds between signs of life. */
export const HEARTBEAT_MS = 30_000;
/** Milliseconds a revoked device has to hand over its unsent edits. */
export const DEPOSIT_WINDOW_MS = 3_000;
/** Mutations waiting in an outbox. More: local writes fail with `storage_full`. */
export const OUTBOX_MUTATIONS_MAX = 100_000;
/** Acknowledged mutations kept, to offer them again to a server restored from a backup. */
export const ACKNOWLEDGED_KEPT_MAX = 1_000;
/** Oldest pending age while connected after which the watchdog drops the session; milliseconds. */
export const STUCK_PENDING_MS = 60_000;
/** Age of an incomplete staged batch after which the watchdog drops the session; milliseconds. */
export const STUCK_STAGED_MS = 30_000;
/** Full-jitter back-off, first bound and last; milliseconds. */
export const BACKOFF_MIN_MS = 500;
export const BACKOFF_MAX_MS = 60_000;
/** Longest line of a snapshot. A longer one ends the download as damaged. */
export const SNAPSHOT_LINE_CHARS_MAX = 1 << 20;
/** Numbers on the wire stay below this (spec ID-5). */
export const SEQ_END = 2 ** 53;
/** Protocol versions this package speaks. */
export const PROTO_MIN = 1;
export const PROTO_MAX = 1;
