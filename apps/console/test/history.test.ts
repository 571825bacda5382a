import { expect, it } from "vitest";
import { currenciesAt, deedOf, type HistoryItem, restoring } from "../src/features/history/versions.ts";

const item = (seq: number, before: HistoryItem["before"], fields: HistoryItem["fields"]): HistoryItem => ({
  seq,
  kind: "patch",
  fields,
  before,
  user_id: "u",
  device_id: "d",
  authored_ms: 0,
  committed_ms: 0,
});

const ITEMS = [
  item(4, { priority: "low" }, { priority: "high" }),
  item(3, { lead_source: "web", priority: "medium" }, { lead_source: "fair", priority: "low" }),
  item(2, {}, { notes: "first", lead_score: 3 }),
  item(1, {}, { lead_source: "web", priority: "medium" }),
];
const CURRENT = { priority: "high", lead_source: "fair", notes: "first", lead_score: 3 };

it.each([
  [0, {}],
  [1, { priority: "low" }],
  [2, { priority: "medium", lead_source: "web" }],
  [3, { priority: "medium", lead_source: "web", notes: null }],
])("[CONF-5] version %i is reached by writing what differs, without what the server owns", (index, expected) => {
  expect(restoring("leads", CURRENT, ITEMS, index)).toEqual(expected);
});

it("[CONF-5] a history says who created, changed, deleted and restored, in the server's own kinds", () => {
  const kinds = ["put", "del", "patch", "put"] as const;
  const items = kinds.map((kind, index) => ({ ...item(4 - index, {}, {}), kind }));
  expect(items.map((_, index) => deedOf(items, index))).toEqual(["restored it", "deleted it", "changed", "created it"]);
});

it("[CONF-5] an amount has the currency that the record had then, also when the change does not name it", () => {
  const items = [
    item(4, { estimated_value: "5200" }, { estimated_value: "4100" }),
    item(3, { currency: "USD" }, { currency: "EUR" }),
    item(2, { estimated_value: "100" }, { estimated_value: "5200" }),
    item(1, {}, { estimated_value: "100", currency: "USD" }),
  ];
  expect(items.map((_, index) => currenciesAt("EUR", items, index))).toEqual([
    { before: "EUR", after: "EUR" },
    { before: "USD", after: "EUR" },
    { before: "USD", after: "USD" },
    { before: undefined, after: "USD" },
  ]);
});
