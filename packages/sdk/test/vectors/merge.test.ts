import { expect, it } from "vitest";
import { type Fields, jsonEquals } from "../../src/json.ts";
import { type GroupCase, type GroupPlan, planGroup } from "../../src/merge/plan.ts";
import { canonicalUpdate } from "../../src/schema/canonical.ts";
import type { EntityDeclaration } from "../../src/schema/declaration.ts";
import { readSchema } from "../../src/schema/schema.ts";
import { vectors } from "./vectors.ts";

interface MergeCase {
  name: string;
  rule: string;
  base: Fields;
  base_known?: boolean;
  theirs: Fields;
  unseen?: Record<string, number>;
  own?: Record<string, number>;
  unseen_adds?: Record<string, string[]>;
  own_adds?: Record<string, string[]>;
  mine: Fields;
  at?: number;
  ranks?: { mine: number; theirs: number };
  expect: Record<string, unknown> & { plan: string };
}

const { entities, groups } = vectors<{ entities: Record<string, EntityDeclaration>; groups: MergeCase[] }>("merge");
const deals = readSchema({ version: 1, roles: {}, entities }).entities.get("deals");

/** Seqs of the changes of a case: before the base, behind the author's back, and by an earlier mutation of the author. */
const [CREATED, BASE, UNSEEN, OWN] = [5, 10, 20, 30];

function caseOf(about: MergeCase): GroupCase {
  if (deals === undefined) {
    throw new Error("the vectors declare deals");
  }
  const patch = canonicalUpdate(deals, about.mine);
  if (!patch.ok) {
    throw new Error(`${about.name}: ${patch.error.message}`);
  }
  const group = deals.fields.get(Object.keys(patch.value)[0] ?? "")?.group;
  if (group === undefined) {
    throw new Error(`${about.name}: the author changes something`);
  }
  return {
    entity: deals,
    group,
    theirs: about.theirs,
    patch: patch.value,
    authoredMs: about.at ?? 100,
    rank: about.ranks?.mine ?? 30,
    versionOf(field) {
      const [own, unseen] = [about.own?.[field], about.unseen?.[field]];
      return own !== undefined
        ? { seq: OWN, authoredMs: own }
        : unseen !== undefined
          ? { seq: UNSEEN, authoredMs: unseen }
          : { seq: CREATED, authoredMs: 0 };
    },
    elementSeq(field, element) {
      const isOwn = about.own_adds?.[field]?.includes(element);
      return isOwn ? OWN : about.unseen_adds?.[field]?.includes(element) ? UNSEEN : CREATED;
    },
    seen: {
      hasSeen: (seq) => seq <= BASE || seq === OWN,
      base: about.base_known === false ? undefined : about.base,
      rankOf: (seq) => (seq === UNSEEN ? (about.ranks?.theirs ?? 30) : Number.NaN),
    },
  };
}

it("the file has the cases it is known to have", () => {
  expect(groups.length).toBeGreaterThanOrEqual(74);
});

it.each(groups)("[$rule] $name", (about) => {
  const plan = planGroup(caseOf(about));
  const shown: GroupPlan | { plan: string; field: string } =
    plan.plan === "reject" ? { plan: plan.plan, field: plan.field } : plan;
  expect(shown).toEqual(about.expect);
});

it("[MRG-14] the same question has the same answer, and nothing that was asked is changed", () => {
  for (const about of groups) {
    const before = structuredClone(about);
    expect(planGroup(caseOf(about)), about.name).toEqual(planGroup(caseOf(about)));
    expect(jsonEquals(JSON.parse(JSON.stringify(about)), JSON.parse(JSON.stringify(before))), about.name).toBe(true);
  }
});
