import { describe, expect, it } from "vitest";
import { type Deed, may, mayImport, ranks } from "../src/data/schema.ts";
import { groupsFor } from "../src/shell/navigation.ts";

const rankOf = (role: string): number => ranks[role] ?? 0;
const DEEDS: readonly Deed[] = ["create", "update", "delete"];

/** What a role may do to records of an entity, as letters. */
const deedsOf = (role: string, entity: string): string =>
  DEEDS.map((deed) => (may(rankOf(role), deed, entity) ? deed.charAt(0) : "-")).join("");

describe("[PRM-3] what a role may do", () => {
  it.each([
    ["contacts", "---", "cu-", "cud", "cud", "cud"],
    ["leads", "---", "cu-", "cud", "cud", "cud"],
    ["tasks", "---", "cu-", "cud", "cud", "cud"],
    ["lead_custom_fields", "---", "cu-", "cud", "cud", "cud"],
    ["opportunities", "---", "---", "cu-", "cud", "cud"],
    ["conflicts", "---", "---", "-u-", "-u-", "-u-"],
    ["teams", "---", "---", "---", "-u-", "cud"],
    ["custom_field_definitions", "---", "---", "---", "---", "cud"],
    // Written down once.
    ["lead_activities", "---", "c--", "c--", "c--", "c-d"],
    // The server's own.
    ["workspace_members", "---", "---", "---", "---", "---"],
  ])("%s: viewer %s, integration %s, agent %s, manager %s, owner %s", (entity, ...expected) => {
    const roles = ["viewer", "integration", "agent", "manager", "owner"];
    expect(roles.map((role) => deedsOf(role, entity))).toEqual(expected);
  });

  it.each([
    ["a plain field", "agent", "update", "leads", "lead_source", true],
    ["a plain field, by who may only look", "viewer", "update", "leads", "lead_source", false],
    ["a field of the server", "owner", "update", "contacts", "created_at", false],
    ["a field that never changes, at first", "agent", "create", "lead_custom_fields", "field_name", true],
    ["a field that never changes, later", "owner", "update", "lead_custom_fields", "field_name", false],
    ["a field that asks for more than its entity", "manager", "update", "teams", "member_ids", false],
    ["the same by who has it", "admin", "update", "teams", "member_ids", true],
    ["another field of that entity", "manager", "update", "teams", "name", true],
    ["a field that there is not", "owner", "update", "leads", "shoe_size", false],
  ] as const)("%s", (_, role, deed, entity, field, expected) => {
    expect(may(rankOf(role), deed, entity, field)).toBe(expected);
  });

  it("nobody may do anything to what the schema does not have, and nothing is allowed before a role is known", () => {
    expect(DEEDS.some((deed) => may(rankOf("owner"), deed, "horses"))).toBe(false);
    expect(DEEDS.some((deed) => may(0, deed, "leads"))).toBe(false);
  });
});

it("[IMP-1] who adds and deletes leads and contacts may import, and is led there", () => {
  const roles = ["viewer", "integration", "agent", "manager", "admin", "owner"];
  const labels = (role: string) => groupsFor(rankOf(role)).flatMap(({ items }) => items.map(({ label }) => label));
  const importers = ["agent", "manager", "admin", "owner"];
  expect(roles.filter((role) => mayImport(rankOf(role)))).toEqual(importers);
  expect(roles.filter((role) => labels(role).includes("Import"))).toEqual(importers);
  expect(roles.filter((role) => labels(role).includes("People"))).toEqual(["admin", "owner"]);
});
