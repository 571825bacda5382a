import { describe, expect, it } from "vitest";
import { type Row, stateOf } from "../src/data/live.ts";
import { Ordered, sorted } from "../src/data/ordered.ts";
import { ContactIndex, phoneKey } from "../src/features/leads/duplicates.ts";
import { LEAD_KEYS, LeadJoin, type LeadSort, matchLeads } from "../src/features/leads/rows.ts";
import { NO_LEAD_FILTER, readLeadSearch, writeLeadSearch } from "../src/features/leads/search.ts";
import { groupTasks } from "../src/features/tasks/groups.ts";

const id = (number: number): string => `0198c0de-0000-7000-8000-${String(number).padStart(12, "0")}`;
const record = <F extends object>(number: number, fields: F) => ({
  id: id(number),
  rv: 1,
  state: "synced" as const,
  fields,
});

/** Numbers from 0 up to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

const CONTACTS: Row<"contacts">[] = [
  record(1, { firstname: "Åsa", lastname: "Berg", email: "Asa@Example.com", phone_number: "+47 22 33 44 55" }),
  record(2, { name: "Bo Ek", secondary_phone: "0047 99 88 77 66" }),
];
const LEADS: Row<"leads">[] = [
  record(11, { contact_id: id(1), estimated_value: "900.00", priority: "low" as const, owner_id: id(7) }),
  record(12, { contact_id: id(2), estimated_value: "1000.00", priority: "urgent" as const }),
  record(13, { product_interest: "Training" }),
];
const AROUND = {
  contacts: new Map(CONTACTS.map((row) => [row.id, row])),
  companies: new Map(),
  statuses: new Map(),
  users: new Map(),
};
const rows = new LeadJoin().rows(LEADS, AROUND);
const names = (filter: object, sort: LeadSort, isDescending = false): string[] =>
  matchLeads(sorted(rows, LEAD_KEYS[sort], isDescending), { ...NO_LEAD_FILTER, ...filter }).map(({ name }) => name);

describe("[WEB-1] the list of leads", () => {
  it("sorts numbers as numbers, and what has none comes last either way", () => {
    expect(names({}, "value")).toEqual(["Åsa Berg", "Bo Ek", "Training"]);
    expect(names({}, "value", true)).toEqual(["Bo Ek", "Åsa Berg", "Training"]);
    expect(names({}, "priority", true)).toEqual(["Bo Ek", "Åsa Berg", "Training"]);
  });
  it("finds every word anywhere, and filters by owner or by having none", () => {
    expect(names({ q: "BERG asa@" }, "name")).toEqual(["Åsa Berg"]);
    expect(names({ q: "berg ek" }, "name")).toEqual([]);
    expect(names({ owner: "none" }, "name")).toEqual(["Bo Ek", "Training"]);
    expect(names({ owner: id(7) }, "name")).toEqual(["Åsa Berg"]);
  });
  it("stays in sight when the store cannot be read any more", () => {
    const parts = (...states: readonly ("loading" | "ready" | "failed")[]) => states.map((state) => ({ state }));
    expect(stateOf(parts("ready", "loading"))).toBe("loading");
    expect(stateOf(parts("ready", "failed"))).toBe("ready");
  });
  it("keeps a row while nothing it shows has changed", () => {
    const join = new LeadJoin();
    const [first, second, third] = join.rows(LEADS, AROUND);
    expect(join.rows(LEADS.slice(1), { ...AROUND })).toEqual([second, third]);
    expect(join.rows(LEADS, { ...AROUND }).slice(1)).toEqual([second, third]);
    const contacts = new Map([...AROUND.contacts, [id(2), record(2, { name: "Bo Aas" })]]);
    const [, renamed, same] = join.rows(LEADS, { ...AROUND, contacts });
    expect([renamed?.name, second?.name, same]).toEqual(["Bo Aas", "Bo Ek", third]);
    expect(first?.haystack).toContain("asa@example.com");
    expect(renamed?.haystack, "what a search looks in follows").toContain("bo aas");
  });
  it("writes an address that reads back the same", () => {
    const search = { ...NO_LEAD_FILTER, q: "12", owner: "none", sort: "value", isDescending: true } as const;
    expect(readLeadSearch(writeLeadSearch(search))).toEqual(search);
    expect(Object.values(writeLeadSearch(readLeadSearch({}))).filter((value) => value !== undefined)).toEqual([]);
    expect(readLeadSearch({ sort: "nonsense", desc: 0 })).toEqual(readLeadSearch({}));
  });
});

describe("[WEB-1] a long list", () => {
  interface Item {
    readonly id: string;
    readonly key: number;
  }
  const byKey = ({ key }: Item): number => key;
  const byId = ({ id: key }: Item): string => key;

  it("is in order after any change, as if it were sorted anew", () => {
    const random = seeded(7);
    const list = new Ordered<Item>();
    let [items, made] = [[] as Item[], 0];
    const item = (number: number): Item => ({ id: id(number), key: Math.floor(random() * 40) - 1 });
    for (let turn = 0; turn < 400; turn++) {
      const next = [...items];
      for (let count = turn % 10 === 0 ? 40 : Math.floor(random() * 3); count > 0; count--) {
        next.push(item(made++));
      }
      for (let count = Math.floor(random() * 3); count > 0 && next.length > 0; count--) {
        next.splice(Math.floor(random() * next.length), 1);
      }
      for (let count = Math.floor(random() * 3); count > 0 && next.length > 0; count--) {
        const place = Math.floor(random() * next.length);
        next[place] = { ...(next[place] as Item), key: Math.floor(random() * 40) - 1 };
      }
      items = next;
      const [keyOf, isDescending] = turn % 50 === 49 ? [byId, true] : [byKey, turn > 200];
      expect(list.take(items, keyOf, isDescending)).toEqual(sorted(items, keyOf, isDescending));
    }
  });

  it("is the same list while nothing changes", () => {
    const list = new Ordered<Item>();
    const items = [3, 1, 2].map((key) => ({ id: id(key), key }));
    const shown = list.take(items, byKey, false);
    expect(list.take([...items], byKey, false)).toBe(shown);
  });
});

describe("[IMP-1] the same person", () => {
  const index = new ContactIndex(CONTACTS);
  it.each([
    ["asa@EXAMPLE.com ", undefined, "e-mail"],
    [undefined, "0047 22334455", "phone"],
    ["other@example.com", "+47 99887766", "phone"],
    ["other@example.com", "123", undefined],
  ])("%s %s → %s", (email, phone, by) => {
    expect(index.find(email, phone)?.by).toBe(by);
  });
  it("a number that is too short says nothing", () => {
    expect(phoneKey("112")).toBeUndefined();
  });
});

it("[WEB-1] tasks are grouped as a day is planned", () => {
  const now = new Date("2026-11-21T12:00:00").getTime();
  const task = (number: number, due: string | undefined, status = "todo"): Row<"tasks"> =>
    record(number, {
      title: String(number),
      status: status as "todo",
      ...(due !== undefined && { due_at: new Date(due).toISOString() }),
    });
  const groups = groupTasks(
    [
      task(1, undefined),
      task(2, "2026-11-22T09:00:00"),
      task(3, "2026-11-21T11:00:00"),
      task(4, "2026-11-21T23:30:00"),
      task(5, "2026-11-20T00:00:00"),
      task(6, undefined, "done"),
      task(7, "2026-11-28T23:59:00"),
      task(8, "2026-11-29T00:00:00"),
    ],
    now,
  );
  expect(groups.map(({ key, tasks }) => [key, tasks.map(({ fields }) => fields.title).join()])).toEqual([
    ["late", "5,3"],
    ["today", "4"],
    ["week", "2,7"],
    ["later", "8"],
    ["someday", "1"],
    ["done", "6"],
  ]);
});
