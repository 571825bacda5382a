/**
 * Contacts that are likely the same person: the same e-mail, the same phone, or the same name at the same company. What is the
 * same is defined in `leads/duplicates.ts`, for forms, imports and this search alike. Pure, in slices.
 */

import type { Row } from "../../data/live.ts";
import { emailKey, personKey, phoneKey } from "../leads/duplicates.ts";
import { contactName } from "../record/titles.ts";

export type SameBy = "e-mail" | "phone" | "name";

export interface DuplicateGroup {
  /** Of its contacts: the same as long as they are. */
  readonly key: string;
  /** Two or more, the oldest first. */
  readonly contacts: readonly Row<"contacts">[];
  readonly by: readonly SameBy[];
}

/** A phone or address that more contacts have than this is a switchboard's, or everybody's. */
export const SHARED_MAX = 20;

interface FindOptions {
  readonly signal?: AbortSignal;
  /** Lets the screen be drawn between two slices. */
  readonly breathe?: () => Promise<void>;
}

/** Time of one slice; milliseconds. */
const SLICE_MS = 10;
/** Contacts between two looks at the clock. */
const STEP = 500;

/** Those found the surest way first, then by name. `undefined`: it was ended. */
export async function findDuplicates(
  contacts: readonly Row<"contacts">[],
  { signal, breathe = async () => undefined }: FindOptions = {},
): Promise<readonly DuplicateGroup[] | undefined> {
  const seen: Readonly<Record<SameBy, Map<string, number | number[]>>> = {
    "e-mail": new Map(),
    phone: new Map(),
    name: new Map(),
  };
  const shared: { readonly by: SameBy; readonly places: readonly number[] }[] = [];
  let beganMs = performance.now();
  for (const [place, contact] of contacts.entries()) {
    if (place % STEP === 0 && performance.now() - beganMs > SLICE_MS) {
      await breathe();
      beganMs = performance.now();
    }
    if (signal?.aborted === true) {
      return undefined;
    }
    if (contact.fields.is_archived === true) {
      continue;
    }
    for (const [by, key] of keysOf(contact)) {
      const held = seen[by].get(key);
      if (held === undefined) {
        seen[by].set(key, place);
      } else if (typeof held === "number") {
        const places = [held, place];
        seen[by].set(key, places);
        shared.push({ by, places });
      } else if (held.at(-1) !== place) {
        held.push(place);
      }
    }
  }
  return groupsOf(contacts, shared);
}

/** Contacts that are linked through any of what they share, as groups. */
function groupsOf(
  contacts: readonly Row<"contacts">[],
  shared: readonly { readonly by: SameBy; readonly places: readonly number[] }[],
): readonly DuplicateGroup[] {
  const usable = shared.filter(({ places }) => places.length <= SHARED_MAX && places[0] !== places[1]);
  const parents = new Map<number, number>();
  const rootOf = (place: number): number => {
    let root = place;
    for (let above = parents.get(root); above !== undefined && above !== root; above = parents.get(root)) {
      root = above;
    }
    parents.set(place, root);
    return root;
  };
  for (const { places } of usable) {
    const roots = places.map(rootOf);
    const first = Math.min(...roots);
    for (const root of roots) {
      parents.set(root, first);
    }
  }
  const groups = new Map<number, { readonly places: Set<number>; readonly by: Set<SameBy> }>();
  for (const { by, places } of usable) {
    const root = rootOf(places[0] ?? 0);
    const group = groups.get(root) ?? { places: new Set(), by: new Set() };
    groups.set(root, group);
    group.by.add(by);
    for (const place of places) {
      group.places.add(place);
    }
  }
  return [...groups.values()]
    .map(({ places, by }): DuplicateGroup => {
      const found = [...places].flatMap((place) => contacts[place] ?? []).sort((a, b) => (a.id < b.id ? -1 : 1));
      return { key: found.map(({ id }) => id).join(" "), contacts: found, by: ORDER.filter((each) => by.has(each)) };
    })
    .sort((a, b) => rankOf(a) - rankOf(b) || nameOf(a).localeCompare(nameOf(b)));
}

const ORDER: readonly SameBy[] = ["e-mail", "phone", "name"];

function rankOf({ by }: DuplicateGroup): number {
  return ORDER.indexOf(by[0] ?? "name");
}

function nameOf({ contacts: [first] }: DuplicateGroup): string {
  return first === undefined ? "" : contactName(first);
}

type Keys = readonly (readonly [by: SameBy, key: string])[];

/** A record is never changed, so what it is compared by is worked out once. */
const keysByContact = new WeakMap<Row<"contacts">, Keys>();

function keysOf(contact: Row<"contacts">): Keys {
  const held = keysByContact.get(contact);
  if (held !== undefined) {
    return held;
  }
  const { email, phone_number, secondary_phone } = contact.fields;
  const phones = new Set([phoneKey(phone_number), phoneKey(secondary_phone)]);
  const all: readonly (readonly [SameBy, string | undefined])[] = [
    ["e-mail", emailKey(email)],
    ...[...phones].map((phone) => ["phone", phone] as const),
    ["name", personKey({ ...contact.fields })],
  ];
  const keys = all.filter((pair): pair is readonly [SameBy, string] => pair[1] !== undefined);
  keysByContact.set(contact, keys);
  return keys;
}
