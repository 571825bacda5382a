/** A conflict as the two people in it see it. Pure. */

import type { Fields, Json, Resolution } from "@syncline/sdk";
import type { Row } from "../../data/live.ts";

/** One side's values, or its deletion of the record. */
export type Side = { readonly did: "edited"; readonly fields: Fields } | { readonly did: "deleted" };

export interface Sides {
  readonly mine: Side;
  readonly theirs: Side;
  /** What both started from; a field that is absent had no value or is not known. */
  readonly base: Fields;
  /** What stands now. */
  readonly result: Side;
  /** Fields in question, in the order of the schema. */
  readonly names: readonly string[];
}

export function sidesOf({ fields }: Row<"conflicts">): Sides {
  const mine = sideOf(fields.mine);
  const theirs = sideOf(fields.theirs);
  const listed = Array.isArray(fields.fields) ? (fields.fields as readonly string[]) : [];
  const known = [mine, theirs].flatMap((side) => (side.did === "edited" ? Object.keys(side.fields) : []));
  return {
    mine,
    theirs,
    base: objectOf(fields.base),
    result: sideOf(fields.result),
    names: [...new Set([...listed, ...known])],
  };
}

function sideOf(value: Json | undefined): Side {
  return value === undefined || value === null ? { did: "deleted" } : { did: "edited", fields: objectOf(value) };
}

function objectOf(value: Json | undefined): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** Where a field's value comes from in a decision. */
export type Pick = "mine" | "theirs";
export type Picks = Readonly<Record<string, Pick>>;

/** What decides a conflict. */
export interface Decision {
  readonly resolution: Resolution;
  /** Values of a `custom` one. */
  readonly fields: Fields;
}

/** The decision that a pick per field comes to: all of one side is that side. Both sides must be edits. */
export function decisionOf({ mine, theirs, names }: Sides, picks: Picks): Decision {
  const of = (name: string): Pick => picks[name] ?? "theirs";
  const [first, ...others] = new Set(names.map(of));
  if (others.length === 0) {
    return { resolution: first === "mine" ? "use_mine" : "use_theirs", fields: {} };
  }
  const chosen = names.map((name): [string, Json] => {
    const side = of(name) === "mine" ? mine : theirs;
    return [name, (side.did === "edited" ? side.fields[name] : undefined) ?? null];
  });
  return { resolution: "custom", fields: Object.fromEntries(chosen) };
}

/** What the record will hold in the fields in question; `undefined`: the record is deleted. */
export function outcomeOf({ mine, theirs }: Sides, { resolution, fields }: Decision): Fields | undefined {
  const side = resolution === "use_mine" ? mine : theirs;
  return resolution === "custom" ? fields : side.did === "edited" ? side.fields : undefined;
}
