/** Entries of the audit log as sentences: who is known, so they begin with what was done. Pure. */

import { counted, sentence } from "../../format/text.ts";

export interface AuditItem {
  readonly seq: number;
  readonly event?: string;
  readonly at_ms?: number;
  readonly user_id?: string | null;
  /** A route such as `GET /api/admin/users`, or the id of a person or a device. */
  readonly subject?: string | null;
  readonly address?: string | null;
  readonly detail?: Readonly<Record<string, unknown>> | null;
  readonly [member: string]: unknown;
}

type Verb = keyof typeof PAST;
const PAST = {
  read: "Read",
  search: "Searched",
  add: "Added",
  change: "Changed",
  delete: "Deleted",
  end: "Ended",
  send: "Sent",
} as const;

/** What a request to a route does, by its method and template. */
const ROUTES: Readonly<Record<string, readonly [verb: Verb, object: string]>> = {
  "GET /api/admin/users": ["read", "the list of people"],
  "GET /api/admin/users/{id}": ["read", "what is kept about a person"],
  "POST /api/admin/users": ["add", "a person"],
  "PATCH /api/admin/users/{id}": ["change", "a person"],
  "DELETE /api/admin/users/{id}": ["end", "a person’s access"],
  "DELETE /api/admin/users/{id}/identities/{provider}": ["end", "a person’s sign-in through another service"],
  "PATCH /api/admin/members/{user}": ["change", "what a person may do"],
  "GET /api/admin/webhooks": ["read", "the list of webhooks"],
  "GET /api/admin/webhooks/{id}": ["read", "how a webhook is set up"],
  "POST /api/admin/webhooks": ["add", "a webhook"],
  "PATCH /api/admin/webhooks/{id}": ["change", "a webhook"],
  "DELETE /api/admin/webhooks/{id}": ["delete", "a webhook"],
  "GET /api/admin/webhooks/{id}/deliveries": ["read", "what a webhook was told"],
  "POST /api/admin/webhooks/{id}/deliveries/{delivery}/retry": ["send", "a webhook the same again"],
  "GET /api/admin/alerts": ["read", "the list of alerts"],
  "GET /api/admin/audit": ["read", "the audit log"],
  "GET /api/admin/rejected": ["read", "everybody’s rejected changes"],
  "GET /api/admin/devices": ["read", "the list of devices"],
  "GET /api/admin/clients": ["read", "how far everybody’s devices are"],
  "GET /api/config/stats": ["read", "the figures of the server"],
  "GET /api/sync/history/{entity}/{id}": ["read", "the history of a record"],
  "GET /api/sync/snapshot": ["read", "a whole copy of the records"],
  "GET /api/analytics/usage": ["read", "how much is used"],
  "GET /api/analytics/sync": ["read", "the figures about syncing"],
  "GET /api/analytics/connections": ["read", "the figures about connections"],
  "GET /api/analytics/conflicts": ["read", "the figures about conflicts"],
  "GET /api/analytics/calls": ["read", "the figures about calls"],
  "GET /api/messages/dead-letters": ["read", "messages that reached nobody"],
  "POST /api/messages": ["send", "a message"],
  "POST /api/messages/{id}/replay": ["send", "a message again"],
};
/** For routes that are not named above: records and what comes later. */
const METHODS: Readonly<Record<string, Verb>> = {
  GET: "read",
  POST: "add",
  PUT: "change",
  PATCH: "change",
  DELETE: "delete",
};
const SIGN_INS: Readonly<Record<string, string>> = { supabase: "through Supabase", link: "with a link" };
/** Known reasons why a sign-in failed. */
const REASONS: Readonly<Record<string, string>> = {
  unknown_address: "no such e-mail address",
  supabase: "Supabase did not vouch for it",
};

/** What was done. `nameOf`: of a person. */
export function deedOf(item: AuditItem, nameOf: (id: string) => string | undefined): string {
  const { event = "", subject, detail } = item;
  const about = (subject === undefined || subject === null ? undefined : nameOf(subject)) ?? "somebody";
  switch (event) {
    case "sign_in": {
      const how = SIGN_INS[String(detail?.method)];
      return how === undefined ? "Signed in" : `Signed in ${how}`;
    }
    case "sign_in_failed":
      return "Failed to sign in";
    case "locked_out":
      return "Was locked out after too many failed sign-ins";
    case "sign_out":
      return "Signed out";
    case "sign_out_everywhere":
      return "Signed out on every device";
    case "refresh_reused":
      return "Was signed out because a spent token was used again";
    case "device_revoked":
      return "Revoked a device";
    case "password_changed":
      return "Changed the password";
    case "member_created":
      return `Added ${about}${typeof detail?.role === "string" ? ` as ${detail.role}` : ""}`;
    case "member_changed":
      return changeOf(about, detail ?? {});
    case "member_revoked":
      return `Withdrew the access of ${about}`;
    case "export":
      return "Exported records";
    case "admin_read":
    case "admin_change": {
      const done = requestOf(subject);
      return done === undefined ? sentence(event) : `${PAST[done.verb]} ${done.object}`;
    }
    case "access_denied": {
      const tried = requestOf(subject);
      return tried === undefined ? "Was refused" : `Was refused: may not ${tried.verb} ${tried.object}`;
    }
    default:
      return sentence(event.replaceAll(".", " "));
  }
}

/** What was changed about what a person may do. */
function changeOf(about: string, detail: Readonly<Record<string, unknown>>): string {
  const { role, is_revoked } = detail;
  if (is_revoked === true) {
    return `Withdrew the access of ${about}`;
  }
  if (is_revoked === false) {
    return `Let ${about} back in`;
  }
  if (typeof role === "object" && role !== null) {
    const { from, to } = role as { readonly from?: string | null; readonly to?: string };
    return `Made ${about} ${to}${from === undefined || from === null ? "" : ` instead of ${from}`}`;
  }
  return "read_scope" in detail ? `Changed what ${about} sees` : `Changed the teams of ${about}`;
}

/** What a request was to do; `undefined`: the subject is no route. */
function requestOf(subject: string | null | undefined): { readonly verb: Verb; readonly object: string } | undefined {
  const [method = "", path = ""] = (subject ?? "").split(" ");
  const known = ROUTES[`${method} ${path}`];
  if (known !== undefined) {
    return { verb: known[0], object: known[1] };
  }
  const verb = METHODS[method];
  const named = path
    .split("/")
    .filter((part) => part !== "" && part !== "api" && part !== "admin" && !part.startsWith("{"))
    .map((part) => part.replace(/[_-]/g, " "));
  return verb === undefined || named.length === 0 ? undefined : { verb, object: named.join(", ") };
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-/;

/** The rest of an entry, for who looks closer: why, how often, which request, from where. */
export function detailsOf({ event, subject, address, detail }: AuditItem): string {
  const { reason, failures, repeated } = detail ?? {};
  return [
    ...(typeof reason === "string" ? [REASONS[reason] ?? sentence(reason).toLowerCase()] : []),
    ...(typeof failures === "number" ? [counted(failures, "failure")] : []),
    ...(typeof repeated === "number" ? [`${counted(repeated, "time")} more shortly before`] : []),
    ...(typeof subject === "string" && !ID.test(subject) && event !== "sign_in" ? [subject] : []),
    ...(typeof address === "string" ? [`from ${address}`] : []),
  ].join(" · ");
}
