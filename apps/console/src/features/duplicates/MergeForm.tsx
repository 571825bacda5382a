import type { Fields } from "@syncline/sdk";
import { useEffect, useMemo, useState } from "react";
import { cx } from "../../components/cx.ts";
import { Form } from "../../components/Form.tsx";
import { Loading } from "../../components/States.tsx";
import { attempt, toast } from "../../components/toast.tsx";
import { type EntityName, type Row, useClient } from "../../data/live.ts";
import { labelOf, nounOf } from "../../data/schema.ts";
import { counted, number } from "../../format/text.ts";
import { contactName } from "../record/titles.ts";
import { useTitleOf } from "../record/useTitleOf.ts";
import { shownValue } from "../record/value.ts";
import type { DuplicateGroup } from "./find.ts";
import { isAgreed, type MergePlan, type MergeUnit, planMerge, type Related } from "./merge.ts";
import { merge, readRelated } from "./useDuplicates.ts";

interface MergeFormProps {
  readonly group: DuplicateGroup;
  readonly onMerged: () => void;
  readonly onClose: () => void;
}

/** Which contact stays, which values it has, and what becomes of the rest; then it is done in one step. */
export function MergeForm({ group, onMerged, onClose }: MergeFormProps) {
  const client = useClient();
  const [related, setRelated] = useState<readonly Related[]>();
  const [stays, setStays] = useState<string>();
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [picks, setPicks] = useState<Readonly<Record<string, string>>>({});
  useEffect(() => {
    let isOpen = true;
    attempt(readRelated(client, group.contacts).then((read) => isOpen && setRelated(read)));
    return () => {
      isOpen = false;
    };
  }, [client, group]);
  const winnerId = stays ?? mostUsed(group.contacts, related ?? []);
  const contacts = useMemo(
    () =>
      group.contacts
        .filter(({ id }) => id === winnerId || !left.has(id))
        .sort((a, b) => Number(b.id === winnerId) - Number(a.id === winnerId)),
    [group, winnerId, left],
  );
  const plan = useMemo(() => {
    const places = Object.fromEntries(
      Object.entries(picks).map(([key, id]) => [key, contacts.findIndex((contact) => contact.id === id)]),
    );
    const ids = new Set(contacts.map(({ id }) => id));
    return planMerge({
      contacts,
      related: (related ?? []).filter(({ contactId }) => ids.has(contactId)),
      picks: places,
    });
  }, [contacts, related, picks]);
  if (related === undefined) {
    return <Loading what="what is about them" />;
  }
  const submit = async (): Promise<string | undefined> => {
    const merged = await merge(client, contacts, plan);
    if (!merged.ok) {
      return merged.message;
    }
    toast(`${counted(contacts.length, "contact")} merged`, { detail: "It can be taken back under “Merged here”." });
    onMerged();
    return undefined;
  };
  return (
    <Form
      deed={`Merge ${counted(contacts.length, "contact")}`}
      isDisabled={contacts.length < 2}
      onSubmit={submit}
      onClose={onClose}
    >
      <Members
        group={group}
        related={related}
        winnerId={winnerId}
        left={left}
        onStays={setStays}
        onLeft={(id) =>
          setLeft((held) => new Set(held.has(id) ? [...held].filter((each) => each !== id) : [...held, id]))
        }
      />
      <Values
        contacts={contacts}
        units={plan.units}
        onPick={(key, id) => setPicks((held) => ({ ...held, [key]: id }))}
      />
      <Consequences plan={plan} />
    </Form>
  );
}

/** The contact that most is about stays; of equals the oldest. */
function mostUsed(contacts: readonly Row<"contacts">[], related: readonly Related[]): string {
  const count = (id: string): number => related.filter(({ contactId }) => contactId === id).length;
  return contacts.reduce((best, { id }) => (best === "" || count(id) > count(best) ? id : best), "");
}

interface MembersProps {
  readonly group: DuplicateGroup;
  readonly related: readonly Related[];
  readonly winnerId: string;
  readonly left: ReadonlySet<string>;
  readonly onStays: (id: string) => void;
  readonly onLeft: (id: string) => void;
}

function Members({ group, related, winnerId, left, onStays, onLeft }: MembersProps) {
  return (
    <fieldset className="min-w-0">
      <legend className="mb-1.5 font-semibold">Which contact stays?</legend>
      <ul className="divide-y rounded-lg border">
        {group.contacts.map((contact) => {
          const { id, fields } = contact;
          const name = contactName(contact);
          const about = related.filter(({ contactId }) => contactId === id).length;
          return (
            <li key={id} className="flex flex-wrap items-center gap-x-4 gap-y-1 px-3 py-2">
              <label className="flex min-w-0 flex-1 basis-60 cursor-pointer items-center gap-3">
                <input
                  type="radio"
                  name="stays"
                  className="size-4 shrink-0 accent-accent"
                  checked={id === winnerId}
                  onChange={() => onStays(id)}
                />
                <span className="min-w-0">
                  <span className="block font-medium">{name}</span>
                  <span className="block truncate text-sm text-ink-3">
                    {[fields.email, fields.phone_number, fields.company_name]
                      .filter((part) => part !== undefined)
                      .join(" · ")}
                    {` · ${counted(about, "record")} about it`}
                  </span>
                </span>
              </label>
              {group.contacts.length > 2 && id !== winnerId && (
                <label className="flex cursor-pointer items-center gap-2 text-ink-2">
                  <input
                    type="checkbox"
                    className="size-4 accent-accent"
                    aria-label={`${name} is merged`}
                    checked={!left.has(id)}
                    onChange={() => onLeft(id)}
                  />
                  Merge it
                </label>
              )}
            </li>
          );
        })}
      </ul>
    </fieldset>
  );
}

interface ValuesProps {
  readonly contacts: readonly Row<"contacts">[];
  readonly units: readonly MergeUnit[];
  readonly onPick: (key: string, contactId: string) => void;
}

/** Fields in which they differ, to choose from; those in which they agree are only counted. */
function Values({ contacts, units, onPick }: ValuesProps) {
  const titleOf = useTitleOf();
  const all = contacts.map(({ fields }) => fields as Fields);
  const shown = (names: readonly string[], fields: Fields): string =>
    names
      .map((name) => shownValue("contacts", name, fields[name], { titleOf }))
      .filter((text) => text !== "")
      .join(", ");
  const differing = units.filter((unit) => !isAgreed(unit, all) || unit.from !== 0 || unit.isJoined);
  const agreed = units.length - differing.length;
  return (
    <div>
      <h3 className="mb-1.5 font-semibold">Its values</h3>
      <dl className="divide-y rounded-lg border">
        {differing.map((unit) => (
          <div key={unit.key} className="grid grid-cols-1 gap-x-4 gap-y-1 px-3 py-2 sm:grid-cols-[10rem_minmax(0,1fr)]">
            <dt className="text-ink-3">
              {unit.names.length > 1 && unit.names.includes("city") ? "Address" : unit.names.map(labelOf).join(", ")}
            </dt>
            <dd className="flex min-w-0 flex-col gap-1">
              {unit.isJoined || unit.holders.length === 1 ? (
                <span className="wrap-anywhere">
                  {shown(unit.names, unit.values)}
                  <span className="text-ink-3">{unit.isJoined ? " · put together" : " · only one has it"}</span>
                </span>
              ) : (
                distinct(unit, (place) => shown(unit.names, all[place] ?? {})).map((place) => (
                  <label
                    key={contacts[place]?.id}
                    className={cx(
                      "flex cursor-pointer items-start gap-2",
                      place !== unit.from && "text-ink-3 line-through",
                    )}
                  >
                    <input
                      type="radio"
                      name={unit.key}
                      className="mt-0.5 size-4 shrink-0 accent-accent"
                      aria-label={`${unit.names.map(labelOf).join(", ")}: ${shown(unit.names, all[place] ?? {})}`}
                      checked={place === unit.from}
                      onChange={() => onPick(unit.key, contacts[place]?.id ?? "")}
                    />
                    <span className="wrap-anywhere">{shown(unit.names, all[place] ?? {})}</span>
                  </label>
                ))
              )}
            </dd>
          </div>
        ))}
        {agreed > 0 && (
          <div className="px-3 py-2 text-ink-3">
            <dt className="sr-only">Others</dt>
            <dd>
              {counted(agreed, "value")} more {agreed === 1 ? "stays as it is" : "stay as they are"}.
            </dd>
          </div>
        )}
      </dl>
    </div>
  );
}

/** Places whose values read differently, a place for each; of the same ones that whose values stay. */
function distinct({ holders, from }: MergeUnit, textOf: (place: number) => string): readonly number[] {
  const byText = new Map<string, number>();
  for (const place of holders) {
    const text = textOf(place);
    if (!byText.has(text) || place === from) {
      byText.set(text, place);
    }
  }
  return [...byText.values()];
}

/** What becomes of records around them, and of the contacts that do not stay. */
function Consequences({ plan: { moved, staying, deleted, archived } }: { plan: MergePlan }) {
  const list = (counts: ReadonlyMap<EntityName, number>): string =>
    [...counts].map(([entity, count]) => `${number(count)} ${nounOf(entity, count)}`).join(", ");
  const isOne = (counts: ReadonlyMap<EntityName, number>): boolean => [...counts.values()].join() === "1";
  const said = [
    ...(moved.size > 0 ? [`${list(moved)} ${isOne(moved) ? "moves" : "move"} to the contact that stays.`] : []),
    ...(deleted.length > 0
      ? [`${counted(deleted.length, "contact")} ${deleted.length === 1 ? "is" : "are"} deleted.`]
      : []),
    ...(archived.length > 0
      ? [
          `${counted(archived.length, "contact")} ${archived.length === 1 ? "is" : "are"} archived instead of deleted, because ${list(staying)} cannot be given another contact.`,
        ]
      : []),
    "All of it happens at once or not at all, and can be taken back.",
  ];
  return (
    <div>
      <h3 className="mb-1.5 font-semibold">What happens</h3>
      <ul aria-label="What happens" className="list-disc pl-5 text-ink-2">
        {said.map((sentence) => (
          <li key={sentence}>{sentence}</li>
        ))}
      </ul>
    </div>
  );
}
