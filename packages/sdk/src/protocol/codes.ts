/** Stable codes of everything that can go wrong, each with the class that says what a client does (spec/CODES.md). */

/** What a client does about an error. Behaviour follows the class, never an HTTP status. */
export type ErrorClass = "transient" | "session" | "protocol" | "rejected" | "local" | "fatal";

const CODES = {
  unavailable: "transient",
  overloaded: "transient",
  rate_limited: "transient",
  timeout: "transient",
  refused_here: "transient",
  internal: "transient",
  unauthenticated: "session",
  token_expired: "session",
  lease_expired: "session",
  mfa_required: "session",
  out_of_order: "protocol",
  cursor_expired: "protocol",
  digest_mismatch: "protocol",
  epoch_changed: "protocol",
  server_ahead: "protocol",
  malformed: "protocol",
  precondition_failed: "protocol",
  not_found: "protocol",
  method_not_allowed: "protocol",
  validation: "rejected",
  rule: "rejected",
  forbidden: "rejected",
  gone: "rejected",
  unique: "rejected",
  ref_missing: "rejected",
  dependency_failed: "rejected",
  too_large: "rejected",
  unknown_entity: "rejected",
  already_exists: "rejected",
  storage_full: "local",
  storage_evicted: "local",
  storage_locked: "local",
  corrupt_local: "local",
  proto_unsupported: "fatal",
  device_revoked: "fatal",
  backend_mismatch: "fatal",
} as const satisfies Record<string, ErrorClass>;

/** A stable error code. A later server may send others: they are handled by their class. */
export type Code = keyof typeof CODES;

/** The class of a code, for errors that are made here. */
export function classOf(code: Code): ErrorClass {
  return CODES[code];
}

/** Every code with its class. */
export function allCodes(): ReadonlyMap<string, ErrorClass> {
  return new Map(Object.entries(CODES));
}

/** WebSocket close codes (spec/CODES.md). The range says what to do; these few need more than their range says. */
/** From here to there: stop. */
export const CLOSE_FINAL_MIN = 4600;
export const CLOSE_FINAL_MAX = 4699;
export const CLOSE_AUTH_TIMEOUT = 4401;
export const CLOSE_UNAUTHENTICATED = 4406;
export const CLOSE_DEVICE_REVOKED = 4601;
export const CLOSE_BACKEND_MISMATCH = 4602;

/** The body of every error (RFC 9457 over HTTP, inside an `error` frame on a socket). */
export interface Problem {
  readonly code: Code;
  readonly class: ErrorClass;
  /** What happened and what to do, for a person. */
  readonly message: string;
  readonly retry_ms?: number;
  readonly request_id?: string;
  readonly client_seq?: number;
  /** In answer to `verify` and `fetch`: the scope they named. */
  readonly scope?: string;
  readonly entity?: string;
  readonly field?: string;
}
