/** Likely duplicates and what merging them would do. */

import type { Fields } from "@syncline/sdk";
import { describe, expect, it } from "vitest";
import type { Row } from "../src/data/live.ts";
import { relationsTo } from "../src/data/relations.ts";
import { findDuplicates, SHARED_MAX } from "../src/features/duplicates/find.ts";
import { type MergeInput, planMerge, planUnmerge, type Related } from "../src/features/duplicates/merge.ts";

type ContactFields = Row<"contacts">["fields"];

const id = (number: number): string => `0198c0de-0000-7000-8000-${String(number).padStart(12, "0")}`;
const contact = (number: number, fields: ContactFields): Row<"contacts"> => ({
  id: id(number),
  rv: 1,
  state: "synced",
  fields,
});

async function found(...contacts: readonly ContactFields[]): Promise<readonly string[]> {
  const groups = await findDuplicates(contacts.map((fields, place) => contact(place + 1, fields)));
  return (groups ?? []).map(
    ({ contacts: of, by }) => `${of.map((each) => Number(each.id.slice(-4))).join()} ${by.join()}`,
  );
}

describe("[IMP-1] duplicates", () => {
  it.each<[string, readonly ContactFields[], readonly string[]]>([
    ["the same e-mail in other letters", [{ email: "Asa@Example.com" }, { email: "asa@example.com " }], ["1,2 e-mail"]],
    [
      "the same phone, first or second",
      [{ phone_number: "+47 22 33 44 55" }, { secondary_phone: "0047 22334455" }],
      ["1,2 phone"],
    ],
    [
      "the same name at the same company",
      [
        { firstname: "Bo", lastname: "Ek", company_name: "Mill" },
        { name: "bo  ek", company_name: "MILL" },
      ],
      ["1,2 name"],
    ],
    ["a name alone says nothing", [{ name: "Bo Ek" }, { name: "Bo Ek" }], []],
    ["a company alone says nothing", [{ company_name: "Mill" }, { company_name: "Mill" }], []],
    ["one contact with the same phone twice", [{ phone_number: "12345678", secondary_phone: "12345678" }], []],
    ["those that are archived", [{ email: "a@b.example" }, { email: "a@b.example", is_archived: true }], []],
    [
      "what is linked through another one",
      [{ email: "a@b.example" }, { email: "a@b.example", phone_number: "12345678" }, { phone_number: "12345678" }],
      ["1,2,3 e-mail,phone"],
    ],
    [
      "several groups, the surest first",
      [{ phone_number: "12345678" }, { email: "z@b.example" }, { phone_number: "12345678" }, { email: "z@b.example" }],
      ["2,4 e-mail", "1,3 phone"],
    ],
  ])("%s", async (_, contacts, expected) => {
    expect(await found(...contacts)).toEqual(expected);
  });

  it("a number that very many have is a switchboard's", async () => {
    const many = Array.from({ length: SHARED_MAX + 1 }, () => ({ phone_number: "+47 22 33 44 55" }));
    expect(await found(...many)).toEqual([]);
    expect(await found(...many.slice(1))).toHaveLength(1);
  });

  it("among 100,000 contacts they are found in slices, and the search can be ended", async () => {
    const contacts = Array.from({ length: 100_000 }, (_, place) =>
      contact(place, {
        email: `p${place % 99_000}@example.com`,
        phone_number: `+47 ${10_000_000 + place}`,
        name: `P ${place}`,
        company_name: "Mill",
      }),
    );
    let slices = 0;
    let longestMs = 0;
    let beganMs = performance.now();
    const breathe = async (): Promise<void> => {
      slices += 1;
      longestMs = Math.max(longestMs, performance.now() - beganMs);
      await new Promise((resolve) => setImmediate(resolve));
      beganMs = performance.now();
    };
    const startedMs = performance.now();
    const groups = await findDuplicates(contacts, { breathe });
    console.log(
      `100,000 contacts: ${groups?.length} groups in ${Math.round(performance.now() - startedMs)} ms, ${slices} slices, the longest ${Math.round(longestMs)} ms`,
    );
    expect(groups).toHaveLength(1_000);
    expect(slices).toBeGreaterThan(3);
    expect(await findDuplicates(contacts, { signal: AbortSignal.abort() })).toBeUndefined();
  });
});

const relation = (entity: string, field = "contact_id") => {
  const wanted = relationsTo("contacts").find((each) => each.entity === entity && each.field === field);
  if (wanted === undefined) {
    throw new Error(`nothing of ${entity} is about contacts`);
  }
  return wanted;
};
const about = (entity: string, number: number, contactId: string, field?: string): Related => ({
  relation: relation(entity, field),
  id: id(number),
  contactId,
});

const ANNA = contact(1, { firstname: "Anna", email: "anna@mill.example", city: "Oslo", tags: ["vip"], notes: "Tall" });
const ANNE = contact(2, {
  firstname: "Anne",
  phone_number: "+4722334455",
  st_address: "Road 1",
  city: "Bergen",
  tags: ["fair"],
  notes: "Rides",
});

function valuesOf(input: MergeInput): Fields {
  return Object.assign({}, ...planMerge(input).units.map(({ values }) => values)) as Fields;
}

describe("[IMP-1] a merge", () => {
  it("keeps the values of the contact that stays, fills what it lacks, and joins what can be joined", () => {
    expect(valuesOf({ contacts: [ANNA, ANNE], related: [] })).toMatchObject({
      firstname: "Anna",
      email: "anna@mill.example",
      phone_number: "+4722334455",
      tags: ["vip", "fair"],
      notes: "Tall\n\nRides",
    });
  });
  it("never mixes halves of what belongs together", () => {
    expect(valuesOf({ contacts: [ANNA, ANNE], related: [] })).toMatchObject({ city: "Oslo", st_address: null });
    const picks = Object.fromEntries(
      planMerge({ contacts: [ANNA, ANNE], related: [] })
        .units.filter(({ names }) => names.includes("city"))
        .map(({ key }) => [key, 1]),
    );
    expect(valuesOf({ contacts: [ANNA, ANNE], related: [], picks })).toMatchObject({
      city: "Bergen",
      st_address: "Road 1",
    });
  });
  it("keeps another phone as the second one", () => {
    const other = contact(3, { phone_number: "+47 99 88 77 66" });
    expect(valuesOf({ contacts: [ANNE, other], related: [] })).toMatchObject({
      phone_number: "+4722334455",
      secondary_phone: "+47 99 88 77 66",
    });
  });
  it("does not keep the same phone twice because it is written otherwise", () => {
    const other = contact(3, { phone_number: "0047 22 33 44 55" });
    expect(valuesOf({ contacts: [ANNE, other], related: [] })).not.toHaveProperty("secondary_phone");
  });
  it("moves what is about the others and deletes them, in one mutation", () => {
    const plan = planMerge({
      contacts: [ANNA, ANNE],
      related: [about("leads", 11, ANNE.id), about("leads", 12, ANNA.id)],
    });
    expect([...plan.moved]).toEqual([["leads", 1]]);
    expect(plan.deleted).toEqual([ANNE.id]);
    expect(plan.edits.slice(1)).toEqual([
      { edit: "update", entity: "leads", id: id(11), fields: { contact_id: ANNA.id } },
      { edit: "delete", entity: "contacts", id: ANNE.id },
    ]);
  });
  it("archives a contact of which something cannot be moved", () => {
    const related = [about("conversations", 21, ANNE.id), about("tasks", 22, ANNE.id, "subject_id")];
    const plan = planMerge({ contacts: [ANNA, ANNE], related });
    expect(plan.deleted).toEqual([]);
    expect(plan.archived).toEqual([ANNE.id]);
    expect([...plan.moved]).toEqual([]);
    expect([...plan.staying]).toEqual([
      ["conversations", 1],
      ["tasks", 1],
    ]);
    expect(plan.edits.at(-1)).toEqual({
      edit: "update",
      entity: "contacts",
      id: ANNE.id,
      fields: { is_archived: true },
    });
  });

  it("is taken back but for what somebody has changed since", () => {
    const plan = planMerge({ contacts: [ANNA, ANNE], related: [about("leads", 11, ANNE.id)] });
    const now: Readonly<Record<string, Fields | undefined>> = {
      [ANNA.id]: { ...(ANNA.fields as Fields), ...valuesOf({ contacts: [ANNA, ANNE], related: [] }), notes: "New" },
      [id(11)]: { contact_id: ANNA.id },
    };
    const { edits, kept } = planUnmerge(plan.inverse, (_, record) => now[record]);
    expect(kept).toBe(1);
    expect(edits).toEqual([
      { edit: "restore", entity: "contacts", id: ANNE.id, fields: {} },
      { edit: "update", entity: "leads", id: id(11), fields: { contact_id: ANNE.id } },
      { edit: "update", entity: "contacts", id: ANNA.id, fields: { phone_number: null, tags: ["vip"] } },
    ]);
  });
});

it("[IMP-1] what is about a contact is known from the schema", () => {
  expect(
    relationsTo("contacts")
      .map(({ entity, field, isMovable }) => `${entity}.${field} ${isMovable}`)
      .sort(),
  ).toEqual([
    "appointments.contact_id true",
    "conversations.contact_id false",
    "leads.contact_id true",
    "messages.contact_id false",
    "notes.subject_id false",
    "opportunities.contact_id true",
    "tasks.subject_id false",
  ]);
});
