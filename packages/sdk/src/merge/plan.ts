/**
 * The whole conflict policy, as a pure function (spec §6), for programs that want to show what the server will decide.
 *
 * {@link planGroup} decides one field group of one update: it sees what the author saw (`base`), what the server has
 * (`theirs`) and what the author wants (`patch`), and returns a {@link GroupPlan}. The server decides; this is its twin.
 */

import { type Fields, isObject, type Json, jsonEquals, member, objectOf, unreachable } from "../json.ts";
import type { Entity, Field, Group } from "../schema/schema.ts";
import { compareInOrder, contestedKeys, isLarger, overlayObject, setAfter } from "./values.ts";

/** What to do with one field group of an update. */
export type GroupPlan =
  /** The live record has what the author wants already. */
  | { readonly plan: "unchanged" }
  /** Nobody else changed the group: write these values. */
  | { readonly plan: "apply"; readonly fields: Fields }
  /** Both changed it and nothing is lost: write these values, no conflict record. */
  | { readonly plan: "combine"; readonly fields: Fields }
  /** Both changed it, mine wins: write `fields`, record the conflict as resolved. */
  | { readonly plan: "win"; readonly fields: Fields; readonly mine: Fields }
  /** Both changed it, theirs wins: record the conflict as resolved with mine. */
  | { readonly plan: "lose"; readonly mine: Fields }
  /** Theirs stays by the nature of the field; there is nothing to decide and no record. */
  | { readonly plan: "yield" }
  /** A person must decide: the live record keeps theirs. */
  | { readonly plan: "review"; readonly mine: Fields }
  /** The author could know that this is not allowed. */
  | { readonly plan: "reject"; readonly field: string; readonly message: string };

/** When something last changed: seq of the change and its authored-at. */
export interface Version {
  readonly seq: number;
  readonly authoredMs: number;
}

/** What the author of an op had seen of the record's past. */
export interface SeenHistory {
  /** Whether the change at `seq` was in the author's view: at or before `base_rv`, or an earlier one of the same client. */
  hasSeen(seq: number): boolean;
  /** The group's values as they were at `base_rv`; `undefined` when history does not reach back that far. */
  readonly base: Fields | undefined;
  /** Rank, now, of whoever wrote the change at `seq`. */
  rankOf(seq: number): number;
}

/** Everything a decision may depend on (spec MRG-14). */
export interface GroupCase {
  readonly entity: Entity;
  readonly group: Group;
  /** Values of the live record. */
  readonly theirs: Fields;
  /** Version of each of the live record's fields. */
  versionOf(field: string): Version;
  /** Seq of the last add of an element of a set field. */
  elementSeq(field: string, element: string): number;
  /** The author's canonical patch, at least one field of the group. */
  readonly patch: Fields;
  readonly authoredMs: number;
  /** Rank of the author now. */
  readonly rank: number;
  readonly seen: SeenHistory;
}

type Winner = "mine" | "theirs" | "undecided";

/** Decides one group (spec MRG-1 to MRG-11). */
export function planGroup(about: GroupCase): GroupPlan {
  const versions = about.group.fields.map((field) => about.versionOf(field));
  const unseen = newest(versions.filter((version) => !about.seen.hasSeen(version.seq)));
  const isConcurrent = unseen !== undefined;
  // The newest of what the author had not seen decides; their own later write of another field does not hide it.
  const version = unseen ?? newest(versions) ?? { seq: 0, authoredMs: 0 };
  const later: Winner = about.authoredMs >= version.authoredMs ? "mine" : "theirs";
  const one = single(about);
  const { strategy } = about.group;
  switch (strategy.name) {
    case "add-wins-set": {
      const hasSeen = (element: string): boolean => about.seen.hasSeen(about.elementSeq(one.field.name, element));
      return planValue(one, isConcurrent, setAfter(one.theirs, one.mine, hasSeen));
    }
    case "counter":
      return planCounter(about, one, isConcurrent, later);
    case "max":
      return planKeptIf(one, isConcurrent, (mine, theirs) => isLarger(one.field.kind, mine, theirs));
    case "monotone":
      return planKeptIf(one, isConcurrent, (mine, theirs) => compareInOrder(strategy.order, mine, theirs) > 0);
    case "merge-keys":
      return planKeys(about, one, isConcurrent, later);
    case "most-restrictive-wins":
      return planRestrictive(one, isConcurrent);
    case "state-machine":
      return planTransition(one, isConcurrent, strategy.transitions);
    case "last-write-wins":
    case "merge-fields":
    case "version-control":
      return isConcurrent ? planContest(about, () => later) : planAlone(about);
    case "priority-wins":
      return isConcurrent
        ? planContest(about, (mine) =>
            compareInOrder(strategy.order, member(mine, one.field.name), one.theirs) < 0 ? "theirs" : "mine",
          )
        : planAlone(about);
    case "higher-role-wins":
      return isConcurrent
        ? planContest(about, () => byRank(about.rank, about.seen.rankOf(version.seq)))
        : planAlone(about);
    case "manual-review":
      return isConcurrent ? planContest(about, () => "undecided") : planAlone(about);
    default:
      return unreachable(strategy);
  }
}

function byRank(mine: number, theirs: number): Winner {
  return mine > theirs ? "mine" : mine < theirs ? "theirs" : "undecided";
}

function newest(versions: readonly Version[]): Version | undefined {
  return versions.reduce<Version | undefined>((best, version) => {
    const isNewer =
      best === undefined ||
      version.seq > best.seq ||
      (version.seq === best.seq && version.authoredMs > best.authoredMs);
    return isNewer ? version : best;
  }, undefined);
}

/** The field of a group that has only one; strategies that need this are refused on larger groups by the schema. */
interface Single {
  readonly field: Field;
  readonly theirs: Json;
  readonly mine: Json;
}

function single(about: GroupCase): Single {
  const name = about.group.fields[0] ?? "";
  const field = about.entity.fields.get(name);
  if (field === undefined) {
    throw new Error(`the group of ${name} belongs to another entity than ${about.entity.name}`);
  }
  return { field, theirs: member(about.theirs, name), mine: member(about.patch, name) };
}

/** Nobody else changed the group: the patch goes in, less what is there already. */
function planAlone(about: GroupCase): GroupPlan {
  const differing = Object.entries(about.patch).filter(
    ([field, value]) => !jsonEquals(member(about.theirs, field), value),
  );
  return differing.length === 0 ? { plan: "unchanged" } : { plan: "apply", fields: objectOf(differing) };
}

/** Both sides changed the group: the whole group of one of them stands, never a mixture. */
function planContest(about: GroupCase, judge: (mine: Fields, theirs: Fields) => Winner): GroupPlan {
  const names = about.group.fields;
  const isCovered = names.every((name) => Object.hasOwn(about.patch, name));
  const base = isCovered ? {} : about.seen.base;
  if (base === undefined) {
    // Without the author's base the rest of their group is unknown; a person decides.
    return { plan: "review", mine: about.patch };
  }
  const mine = objectOf(
    names.map((name) => [name, member(Object.hasOwn(about.patch, name) ? about.patch : base, name)]),
  );
  const theirs = objectOf(names.map((name) => [name, member(about.theirs, name)]));
  const differing = Object.entries(mine).filter(([name, value]) => !jsonEquals(member(theirs, name), value));
  if (differing.length === 0) {
    return { plan: "unchanged" };
  }
  const winner = judge(mine, theirs);
  switch (winner) {
    case "mine":
      return { plan: "win", fields: objectOf(differing), mine };
    case "theirs":
      return { plan: "lose", mine };
    case "undecided":
      return { plan: "review", mine };
    default:
      return unreachable(winner);
  }
}

function planValue(one: Single, isConcurrent: boolean, after: Json): GroupPlan {
  if (jsonEquals(after, one.theirs)) {
    return { plan: "unchanged" };
  }
  return { plan: isConcurrent ? "combine" : "apply", fields: objectOf([[one.field.name, after]]) };
}

function planCounter(about: GroupCase, one: Single, isConcurrent: boolean, later: Winner): GroupPlan {
  const increment = isObject(one.mine) ? member(one.mine, "inc") : null;
  if (typeof increment !== "number") {
    return isConcurrent ? planContest(about, () => later) : planValue(one, false, one.mine);
  }
  const current = typeof one.theirs === "number" ? one.theirs : 0;
  const sum = current + increment;
  if (!Number.isSafeInteger(sum)) {
    return {
      plan: "reject",
      field: one.field.name,
      message: `${current} + ${increment} is out of range for a counter`,
    };
  }
  return planValue(one, isConcurrent, sum);
}

/** Fields that only ever move one way: mine is written iff it is ahead of theirs. */
function planKeptIf(one: Single, isConcurrent: boolean, isAhead: (mine: Json, theirs: Json) => boolean): GroupPlan {
  if (jsonEquals(one.mine, one.theirs)) {
    return { plan: "unchanged" };
  }
  const isWritten = one.theirs === null || (one.mine !== null && isAhead(one.mine, one.theirs));
  return isWritten ? planValue(one, isConcurrent, one.mine) : { plan: "yield" };
}

function planKeys(about: GroupCase, one: Single, isConcurrent: boolean, later: Winner): GroupPlan {
  if (one.mine === null) {
    return isConcurrent ? planContest(about, () => later) : planValue(one, false, null);
  }
  const wanted = overlayObject(one.theirs, one.mine);
  if (!isConcurrent || jsonEquals(wanted, one.theirs)) {
    return planValue(one, false, wanted);
  }
  const base = about.seen.base === undefined ? undefined : member(about.seen.base, one.field.name);
  // With the base unknown every key may have been changed by both sides.
  const contested = contestedKeys(base, one.theirs, one.mine);
  if (contested.size === 0) {
    return planValue(one, true, wanted);
  }
  const mine = objectOf([[one.field.name, wanted]]);
  if (later === "mine") {
    return { plan: "win", fields: mine, mine };
  }
  const patch = isObject(one.mine) ? Object.entries(one.mine) : [];
  const after = overlayObject(one.theirs, objectOf(patch.filter(([key]) => !contested.has(key))));
  return jsonEquals(after, one.theirs)
    ? { plan: "lose", mine }
    : { plan: "win", fields: objectOf([[one.field.name, after]]), mine };
}

function planRestrictive(one: Single, isConcurrent: boolean): GroupPlan {
  const wanted = one.mine === null ? null : overlayObject(one.theirs, one.mine);
  if (!isConcurrent || jsonEquals(wanted, one.theirs)) {
    return planValue(one, false, wanted);
  }
  const kept = isObject(one.theirs) ? Object.entries(one.theirs).filter(([, value]) => value === true) : [];
  const after = objectOf([...(isObject(wanted) ? Object.entries(wanted) : []), ...kept]);
  if (jsonEquals(after, wanted)) {
    return planValue(one, true, after);
  }
  const mine = objectOf([[one.field.name, wanted]]);
  return jsonEquals(after, one.theirs)
    ? { plan: "lose", mine }
    : { plan: "win", fields: objectOf([[one.field.name, after]]), mine };
}

function planTransition(
  one: Single,
  isConcurrent: boolean,
  transitions: Readonly<Record<string, readonly string[]>>,
): GroupPlan {
  if (jsonEquals(one.mine, one.theirs)) {
    return { plan: "unchanged" };
  }
  const next = typeof one.theirs === "string" && Object.hasOwn(transitions, one.theirs) ? transitions[one.theirs] : [];
  const isLegal = typeof one.theirs !== "string" || (typeof one.mine === "string" && (next ?? []).includes(one.mine));
  if (isLegal) {
    return planValue(one, isConcurrent, one.mine);
  }
  if (isConcurrent) {
    return { plan: "review", mine: objectOf([[one.field.name, one.mine]]) };
  }
  const { name } = one.field;
  const wanted = JSON.stringify(one.mine);
  const message =
    next === undefined || next.length === 0
      ? `${name} is ${one.theirs}, which is final: it cannot become ${wanted}`
      : `${name} cannot go from ${one.theirs} to ${wanted}; from ${one.theirs} it may go to ${next.join(", ")}`;
  return { plan: "reject", field: name, message };
}
