//! Named limits of everything that could grow (invariant 10). What happens at each is written beside it.

/// A frame, either way. A larger one from a client closes the connection with `Protocol`; the server splits its own.
pub const FRAME_BYTES_MAX: usize = 256 * 1024;
/// A REST body. Larger: 413 `too_large`.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Ops of one mutation. More: rejected `too_large`.
pub const OPS_PER_MUTATION_MAX: usize = 256;
/// Mutations of one push frame. More: `malformed`.
pub const MUTATIONS_PER_PUSH_MAX: usize = 100;
/// Push frames of one session that are not answered yet. More: not read until one is.
pub const PUSH_WINDOW: u32 = 4;
/// Records a cascade or a parent's move may touch in one mutation. More: rejected `too_large`.
pub const CASCADE_RECORDS_MAX: usize = 5_000;
/// Encoded size of one record's fields. More: rejected `too_large`.
pub const RECORD_BYTES_MAX: usize = 128 * 1024;
/// JSON nesting of a frame or body. Deeper: `malformed`.
pub const JSON_DEPTH_MAX: usize = 32;
/// Ranges a `verify` may ask about. More: `malformed`.
pub const VERIFY_RANGES_MAX: usize = 64;
/// Records below which a range is answered with its rows instead of being split.
pub const VERIFY_ROWS_MAX: u64 = 256;
/// Ranges a larger range is split into.
pub const VERIFY_FANOUT: usize = 16;
/// Records a `fetch` may name. More: `malformed`.
pub const FETCH_RECORDS_MAX: usize = 512;
/// A scope with more live records than this reaches a new replica over HTTP as a snapshot, otherwise as a batch.
pub const SNAPSHOT_THRESHOLD: u64 = 1_000;
/// Rows of one snapshot page.
pub const SNAPSHOT_PAGE_ROWS: usize = 10_000;
/// Seconds a connection has to authenticate. Then it is closed with `AuthTimeout`.
pub const AUTH_DEADLINE_MS: u64 = 10_000;
pub const HEARTBEAT_MS: u64 = 30_000;
/// Silence after which a peer counts as dead.
pub const CONNECTION_TIMEOUT_MS: u64 = 300_000;
/// Steps walked back along a record's history to find the value at a base. Beyond: the base value is unknown (null).
pub const HISTORY_WALK_MAX: usize = 10_000;
/// Milliseconds a revoked device has to hand over its unsent edits.
pub const DEPOSIT_WINDOW_MS: u64 = 3_000;
/// Mutations waiting in an outbox. More: local writes fail with `storage_full`.
pub const OUTBOX_MUTATIONS_MAX: u64 = 100_000;
/// Acknowledged mutations a client keeps, to offer them again to a server restored from a backup.
pub const ACKNOWLEDGED_KEPT_MAX: u64 = 1_000;
/// Oldest pending age while connected after which the watchdog drops the session; milliseconds.
pub const STUCK_PENDING_MS: u64 = 60_000;
/// Age of an incomplete staged batch after which the watchdog drops the session; milliseconds.
pub const STUCK_STAGED_MS: u64 = 30_000;
/// Full-jitter back-off, first bound and last; milliseconds.
pub const BACKOFF_MIN_MS: u64 = 500;
pub const BACKOFF_MAX_MS: u64 = 60_000;
/// Protocol versions this build speaks.
pub const PROTO_MIN: u32 = 1;
pub const PROTO_MAX: u32 = 1;
/// Messages of one session that are on their way to the store. More: not read until one is.
pub const MESSAGES_SENDING_MAX: usize = 64;
/// Messages of each priority that a session is sent before it acknowledges the first. More: wait in the store.
pub const MESSAGES_WINDOW: usize = 32;
/// Ids of one `msg_ack`. More: `malformed`.
pub const MESSAGE_ACKS_MAX: usize = 256;
/// Devices that one message may go to. More: `too_large`.
pub const MESSAGE_DEVICES_MAX: usize = 10_000;
