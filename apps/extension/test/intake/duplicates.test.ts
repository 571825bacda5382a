/** Who counts as the same: as imports compare (`crates/cli/src/ops/import/identity.rs`). */

import type { Viewed } from "@syncline/sdk";
import { expect, it } from "vitest";
import { DUPLICATES_MAX, duplicatesOf, emailKey, phoneKey } from "../../src/intake/duplicates.ts";

function contact(id: string, fields: Viewed["fields"]): Viewed {
  return { entity: "contacts", id, rv: 1, fields, state: "synced" };
}

it.each([
  ["+44 131 496 0123", "441314960123"],
  ["0044 (131) 496-0123", "441314960123"],
  ["131 496 0123 x45", "1314960123x45"],
  ["131 496 0123 ext. 45", "1314960123x45"],
  ["12345", ""],
])("[IMP-1] the number %s compares as %s", (phone, key) => {
  expect(phoneKey(phone)).toBe(key);
});

it("[IMP-1] e-mail addresses compare without case", () => {
  expect(emailKey(" Grace@Navy.Example ")).toBe("grace@navy.example");
  expect(emailKey(undefined)).toBe("");
});

it("[EXT-1] candidates: those that share most first, then the newest, and only a few", () => {
  const contacts = [
    contact("1", { email: "GRACE@navy.example", firstname: "Grace" }),
    contact("2", { email: "grace@navy.example", phone_number: "0044 131 496 0123", lastname: "Hopper" }),
    contact("3", { company_name: "navy yard" }),
    contact("4", { website: "https://www.navy.example/about" }),
    contact("5", { email: "other@navy.example" }),
    contact("6", {}),
  ];
  const capture = {
    email: "grace@navy.example",
    phone_number: "+44 131 4960123",
    company_name: "Navy Yard",
    website: "https://navy.example/",
  };
  expect(duplicatesOf(contacts, capture).map(({ id, same }) => [id, ...same])).toEqual([
    ["2", "email", "phone"],
    ["1", "email"],
    ["4", "company"],
    ["3", "company"],
  ]);
  expect(duplicatesOf(contacts, {})).toEqual([]);
  const many = Array.from({ length: 50 }, (_, index) => contact(String(index), { email: "grace@navy.example" }));
  expect(duplicatesOf(many, capture)).toHaveLength(DUPLICATES_MAX);
});
