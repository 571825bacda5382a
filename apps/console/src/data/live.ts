/** Live records as React reads them. Components that ask the same question share one live query. */

import type { LiveQuery, LiveState, Query, RecordOf } from "@syncline/sdk";
import type { CrmEntities } from "@syncline/sdk/crm";
import { createContext, useContext, useMemo, useSyncExternalStore } from "react";
import type { Crm } from "./client.ts";

export type EntityName = keyof CrmEntities;
/** A record of an entity as the person sees it. */
export type Row<Name extends EntityName> = RecordOf<CrmEntities[Name]>;
/** What a live query shows. */
export interface Rows<Name extends EntityName> {
  readonly state: "loading" | "ready";
  readonly rows: readonly Row<Name>[];
}

export const ClientContext = createContext<Crm | undefined>(undefined);

export function useClient(): Crm {
  const client = useContext(ClientContext);
  if (client === undefined) {
    throw new Error("there is no client above this component");
  }
  return client;
}

interface Shared {
  readonly live: LiveQuery;
  listeners: number;
}

const sharedByClient = new WeakMap<Crm, Map<string, Shared>>();

/** The live query of a question; forgotten with its last listener. */
function sharedLive(client: Crm, entity: EntityName, text: string) {
  const shared = sharedByClient.get(client) ?? new Map<string, Shared>();
  sharedByClient.set(client, shared);
  const key = `${entity} ${text}`;
  const held = (): Shared => {
    const found = shared.get(key) ?? { live: client.live(entity, JSON.parse(text) as Query), listeners: 0 };
    shared.set(key, found);
    return found;
  };
  return {
    snapshot: (): LiveState => shared.get(key)?.live.snapshot() ?? LOADING,
    subscribe: (listener: () => void): (() => void) => {
      const found = held();
      found.listeners += 1;
      const stop = found.live.subscribe(listener);
      return () => {
        stop();
        found.listeners -= 1;
        if (found.listeners === 0) {
          shared.delete(key);
        }
      };
    },
  };
}

const LOADING: LiveState = { state: "loading", rows: [] };

/** Records that match, kept true while the component is mounted. Queries are compared by content. */
export function useLive<Name extends EntityName>(entity: Name, query: Omit<Query, "filter"> = {}): Rows<Name> {
  const client = useClient();
  const text = JSON.stringify(query);
  const live = useMemo(() => sharedLive(client, entity, text), [client, entity, text]);
  return useSyncExternalStore(live.subscribe, live.snapshot) as unknown as Rows<Name>;
}

/** Of answers that a screen needs together. When the store cannot be read any more, what was read last stays in sight. */
export function stateOf(parts: readonly { readonly state: LiveState["state"] }[]): "loading" | "ready" {
  return parts.some(({ state }) => state === "loading") ? "loading" : "ready";
}

/** One record: `undefined` while loading, `null` when there is none. */
export function useRecord<Name extends EntityName>(entity: Name, id: string): Row<Name> | null | undefined {
  const { state, rows } = useLive(entity, { id });
  return state === "loading" ? undefined : (rows[0] ?? null);
}

const mapsByRows = new WeakMap<readonly object[], Map<string, unknown>>();

/** All records of an entity by id. Made once per change, however many components ask. */
export function useById<Name extends EntityName>(entity: Name): ReadonlyMap<string, Row<Name>> {
  const { rows } = useLive(entity);
  return byId(rows);
}

export function byId<R extends { readonly id: string }>(rows: readonly R[]): ReadonlyMap<string, R> {
  let map = mapsByRows.get(rows) as Map<string, R> | undefined;
  if (map === undefined) {
    map = new Map(rows.map((row) => [row.id, row]));
    mapsByRows.set(rows, map);
  }
  return map;
}
