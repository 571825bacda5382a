/** A conflict as the two people in it see it. Pure. */

import type { Fields, Json, Resolution } from "@syncline/sdk";
import type { Row } from "../../data/live.ts";
import { entityOf } from "../../data/schema.ts";

/** One side's values, or its deletion of the record. */
export type Side = { readonly did: "edited"; readonly fields: Fields } | { readonly did: "deleted" };

/** Fields that are decided together, because half of each side means nothing: an amount and its currency. */
export interface Unit {
  readonly key: string;
  readonly names: readonly string[];
}

export interface Sides {
  readonly mine: Side;
  readonly theirs: Side;
  /** What both started from; a field that is absent had no value or is not known. */
  readonly base: Fields;
  /** What stands now. */
  readonly result: Side;
  /** Fields in question, those of a unit beside one another. */
  readonly names: readonly string[];
  readonly units: readonly Unit[];
}

export function sidesOf({ fields }: Row<"conflicts">): Sides {
  const mine = sideOf(fields.mine);
  const theirs = sideOf(fields.theirs);
  const listed = Array.isArray(fields.fields) ? (fields.fields as readonly string[]) : [];
  const known = [mine, theirs].flatMap((side) => (side.did === "edited" ? Object.keys(side.fields) : []));
  const units = unitsOf(fields.entity ?? "leads", [...new Set([...listed, ...known])]);
  return {
    mine,
    theirs,
    base: objectOf(fields.base),
    result: sideOf(fields.result),
    names: units.flatMap(({ names }) => names),
    units,
  };
}

/** Groups fields as the schema of their entity does. */
function unitsOf(entity: string, names: readonly string[]): readonly Unit[] {
  const { fields } = entityOf(entity);
  const units = new Map<string, string[]>();
  for (const name of names) {
    const key = fields.get(name)?.group.fields.join(" ") ?? name;
    units.set(key, [...(units.get(key) ?? []), name]);
  }
  return [...units].map(([key, members]) => ({ key, names: members }));
}

function sideOf(value: Json | undefined): Side {
  return value === undefined || value === null ? { did: "deleted" } : { did: "edited", fields: objectOf(value) };
}

function objectOf(value: Json | undefined): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** Where the values of a unit come from in a decision; `custom`: from what the person writes. */
export type Pick = "mine" | "theirs" | "custom";
/** By the key of the unit; without one: what stands. */
export type Picks = Readonly<Record<string, Pick>>;

/** What decides a conflict. */
export interface Decision {
  readonly resolution: Resolution;
  /** Values of a `custom` one. */
  readonly fields: Fields;
}

/**
 * The decision that a pick per unit comes to: all of one side is that side. Both sides must be edits. `written`: values of fields
 * that the person wrote; a field of a custom unit that is not among them keeps what stands.
 */
export function decisionOf(sides: Sides, picks: Picks, written: Fields = {}): Decision {
  const { mine, theirs, units } = sides;
  const of = ({ key }: Unit): Pick => picks[key] ?? "theirs";
  const [first, ...others] = new Set(units.map(of));
  if (others.length === 0 && first !== "custom") {
    return { resolution: first === "mine" ? "use_mine" : "use_theirs", fields: {} };
  }
  const chosen = units.flatMap((unit) =>
    unit.names.map((name): [string, Json] => {
      const pick = of(unit);
      const own = pick === "custom" ? written[name] : undefined;
      return [name, own === undefined ? heldBy(sides, pick === "mine" ? mine : theirs, name) : own];
    }),
  );
  return { resolution: "custom", fields: Object.fromEntries(chosen) };
}

/** A side's value of a field: a field that it did not touch is as both started from. */
export function heldBy({ base }: { readonly base: Fields }, side: Side, name: string): Json {
  const fields = side.did === "edited" ? side.fields : {};
  return (name in fields ? fields[name] : base[name]) ?? null;
}

/** What the fields in question will hold; `undefined`: the record is deleted. */
export function outcomeOf(sides: Sides, { resolution, fields }: Decision): Fields | undefined {
  if (resolution === "custom") {
    return fields;
  }
  const side = resolution === "use_mine" ? sides.mine : sides.theirs;
  return side.did === "deleted"
    ? undefined
    : Object.fromEntries(sides.names.map((name) => [name, heldBy(sides, side, name)]));
}
