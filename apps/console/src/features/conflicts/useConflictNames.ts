import type { Fields, Json } from "@syncline/sdk";
import { type EntityName, type Row, useById, useRecord } from "../../data/live.ts";
import { useMe } from "../../data/me.ts";
import { titleOf as titleOfFields } from "../record/titles.ts";
import { useTitleOf } from "../record/useTitleOf.ts";
import { isMoney, shownValue } from "../record/value.ts";

/** Who nobody is known of. */
export const OTHER_SIDE = "The other side";

/** Names of the people, the record and the values of a conflict. */
export function useConflictNames({ fields }: Row<"conflicts">) {
  const users = useById("users");
  const me = useMe();
  const titleOf = useTitleOf();
  const entity = (fields.entity ?? "leads") as EntityName;
  const recordId = fields.record_id ?? "";
  const record = useRecord(entity, recordId);
  const person = (id: string | undefined): string =>
    id === me.userId ? "You" : (users.get(id ?? "")?.fields.name ?? "The server");
  const currency = record?.fields === undefined ? undefined : (record.fields as { currency?: string }).currency;
  return {
    entity,
    recordId,
    isHere: record !== null && record !== undefined,
    /** The record as it is on this device. */
    live: record === null || record === undefined ? undefined : ({ ...record.fields } as Fields),
    record: titleOf(entity, recordId) ?? (record ? titleOfFields(entity, { ...record.fields }) : "a deleted record"),
    mine: person(fields.mine_user),
    theirs: fields.theirs_user === undefined ? OTHER_SIDE : person(fields.theirs_user),
    decider: person(fields.resolved_by),
    /** A value for a person; sides may carry their own currency. */
    shown: (name: string, side: Readonly<Record<string, Json>>): string =>
      shownValue(entity, name, side[name], {
        titleOf,
        ...(isMoney(name) && { currency: (side.currency as string | undefined) ?? currency }),
      }) || "empty",
  };
}
