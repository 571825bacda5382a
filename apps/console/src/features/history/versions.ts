/** A record's past as the server tells it, and how to go back to any of its versions. Pure. */

import type { Json } from "@syncline/sdk";
import { entityOf, isEditable } from "../../data/schema.ts";

/** One change, newest first in a history. `fields`: as written; `before`: as they were. */
export interface HistoryItem {
  readonly seq: number;
  /** `put`: it came to be, created or restored; `patch`: fields changed; `del`: it was deleted. */
  readonly kind: "put" | "patch" | "del";
  readonly fields: Readonly<Record<string, Json>>;
  readonly before: Readonly<Record<string, Json>>;
  readonly user_id: string;
  readonly device_id: string;
  readonly authored_ms: number;
  readonly committed_ms: number;
}

export const CREATED = "created it";
export const CHANGED = "changed";

/** What was done, in words that follow a name. A record that came to be after something older was restored. */
export function deedOf(items: readonly HistoryItem[], index: number): string {
  switch (items[index]?.kind) {
    case "put":
      return index < items.length - 1 ? "restored it" : CREATED;
    case "del":
      return "deleted it";
    default:
      return CHANGED;
  }
}

/** Changed fields that mean something to a person. */
export function changedFields(entity: string, item: HistoryItem): readonly string[] {
  const { fields } = entityOf(entity);
  return Object.keys({ ...item.before, ...item.fields }).filter((name) => fields.has(name) && !HIDDEN.has(name));
}

/**
 * The currency of a record after `items[index]` and before it: a change of an amount does not name it. `items`: newest first,
 * without gaps from the current version.
 */
export function currenciesAt(
  current: Json | undefined,
  items: readonly HistoryItem[],
  index: number,
): { readonly before: string | undefined; readonly after: string | undefined } {
  const earlier = (held: Json | undefined, item: HistoryItem | undefined): Json | undefined =>
    item !== undefined && ("currency" in item.fields || "currency" in item.before) ? item.before.currency : held;
  const after = items.slice(0, index).reduce(earlier, current);
  const before = earlier(after, items[index]);
  return { before: textOf(before), after: textOf(after) };
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}

const HIDDEN = new Set(["updated_at", "created_at", "last_activity_at"]);

/**
 * What an update must write so that the record is as it was after `items[index]`. Only fields a person may change, and only
 * those that differ from `current`; `null` clears. `items`: newest first, without gaps from the current version.
 */
export function restoring(
  entity: string,
  current: Readonly<Record<string, Json | undefined>>,
  items: readonly HistoryItem[],
  index: number,
): Readonly<Record<string, Json>> {
  const wanted: Record<string, Json> = {};
  for (const { fields, before } of items.slice(0, index)) {
    for (const name of Object.keys({ ...fields, ...before })) {
      if (isEditable(entity, name, "update")) {
        wanted[name] = before[name] ?? null;
      }
    }
  }
  return Object.fromEntries(
    Object.entries(wanted).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(current[name] ?? null)),
  );
}
