import { expect, it } from "vitest";
import { type AuditItem, deedOf, detailsOf } from "../src/features/audit/words.ts";

const MILO = "019aa4b0-7c00-7000-8000-000000000001";
const nameOf = (id: string): string | undefined => (id === MILO ? "Milo Manager" : undefined);
const item = (event: string, more: Partial<AuditItem> = {}): AuditItem => ({ seq: 1, event, ...more });

it.each([
  [item("sign_in", { detail: { method: "password" } }), "Signed in"],
  [item("admin_read", { subject: "GET /api/admin/devices" }), "Read the list of devices"],
  [item("admin_change", { subject: "PATCH /api/admin/webhooks/{id}" }), "Changed a webhook"],
  [item("access_denied", { subject: "GET /api/admin/users" }), "Was refused: may not read the list of people"],
  [item("access_denied", { subject: "DELETE /api/opportunities/{id}" }), "Was refused: may not delete opportunities"],
  [item("admin_read", { subject: "GET /api/admin/lead-routes" }), "Read lead routes"],
  [
    item("member_changed", { subject: MILO, detail: { role: { from: "agent", to: "manager" } } }),
    "Made Milo Manager manager instead of agent",
  ],
  [item("member_changed", { subject: MILO, detail: { is_revoked: true } }), "Withdrew the access of Milo Manager"],
  [item("member_created", { subject: "019aa4b0-7c00-7000-8000-000000000002" }), "Added somebody"],
  [item("keys.rotated"), "Keys rotated"],
])("[WEB-1] an entry of the audit log reads as a sentence: $event $subject", (entry, sentence) => {
  expect(deedOf(entry, nameOf)).toBe(sentence);
});

it("[WEB-1] the route, the address and the reason are secondary, and ids are not shown", () => {
  expect(detailsOf(item("admin_read", { subject: "GET /api/admin/users", address: "127.0.0.1" }))).toBe(
    "GET /api/admin/users · from 127.0.0.1",
  );
  expect(detailsOf(item("member_revoked", { subject: MILO, address: "127.0.0.1" }))).toBe("from 127.0.0.1");
  expect(detailsOf(item("sign_in_failed", { detail: { reason: "unknown_address", failures: 2 } }))).toBe(
    "no such e-mail address · 2 failures",
  );
});
