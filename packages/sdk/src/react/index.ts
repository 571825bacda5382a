/**
 * React hooks over a client. Each reads from an external store with `useSyncExternalStore`, so a screen never shows two
 * states at once, also under concurrent rendering.
 */

import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useMemo,
  useSyncExternalStore,
} from "react";
import type { AnyClient, Person } from "../client/any.ts";
import type { Status } from "../client/client.ts";
import type { EntityApi, EntityTypes, QueryOf, RecordOf } from "../client/entity.ts";
import { type Seen, watchPresence } from "../presence/index.ts";
import { CONFLICTS } from "../protocol/frames.ts";
import type { LiveState } from "../views/live.ts";
import type { Query } from "../views/query.ts";

/** A value that changes, as `useSyncExternalStore` wants it. */
interface External<T> {
  readonly subscribe: (listener: () => void) => () => void;
  readonly snapshot: () => T;
}

const ClientContext = createContext<AnyClient<never> | undefined>(undefined);
const LOADING: LiveState = { state: "loading", rows: [] };
const NOTHING: External<LiveState> = { subscribe: () => () => undefined, snapshot: () => LOADING };

/** Gives the components below it a client: a `Client`, or the `TabClient` of this tab. */
export function SynclineProvider<Types>(props: { client: AnyClient<Types>; children?: ReactNode }): ReactNode {
  return createElement(ClientContext.Provider, { value: props.client as unknown as AnyClient<never> }, props.children);
}

/** The client of the nearest provider. Throws without one. */
export function useClient<Types = Record<string, EntityTypes>>(): AnyClient<Types> {
  const client = useContext(ClientContext);
  if (client === undefined) {
    throw new Error("there is no SynclineProvider above this component");
  }
  return client as unknown as AnyClient<Types>;
}

/** Who is signed in, and whether there is something to show; changes with signing in and with losing access. */
export function useAuth(): { readonly credentials: Person | undefined; readonly isReady: boolean } {
  const client = useClient();
  const auth = useMemo(() => authOf(client), [client]);
  return useSyncExternalStore(auth.subscribe, auth.snapshot, auth.snapshot);
}

/** The hooks that know the types of a schema. */
export interface Hooks<Types> {
  useClient(): AnyClient<Types>;
  /**
   * Records of an entity that match, kept true while the component is mounted. Queries are compared by content, so an object
   * written in place is fine; a `filter` is not taken: filter the rows.
   */
  useQuery<Name extends Extract<keyof Types, string>>(
    entity: Name,
    query?: Omit<QueryOf<TypesOf<Types, Name>>, "filter">,
  ): { readonly state: LiveState["state"]; readonly rows: readonly RecordOf<TypesOf<Types, Name>>[] };
  /** One record as the person sees it; `undefined` while loading and when there is none. */
  useRecord<Name extends Extract<keyof Types, string>>(
    entity: Name,
    id: string,
  ): RecordOf<TypesOf<Types, Name>> | undefined;
  /** What changes an entity: create, update, delete, restore. The same object between renders. */
  useMutation<Name extends Extract<keyof Types, string>>(entity: Name): EntityApi<TypesOf<Types, Name>>;
}

/** The hooks with the types of a schema: `const { useQuery, useMutation } = hooksFor<CrmEntities>()`, once per program. */
export function hooksFor<Types>(): Hooks<Types> {
  const hooks = {
    useClient,
    useQuery: (entity: string, query: Query = {}) => useLive(entity, query),
    useRecord: (entity: string, id: string) => useLive(entity, { id }).rows[0],
    useMutation: (entity: string) => useClient().db[entity],
  };
  return hooks as unknown as Hooks<Types>;
}

/** Conflicts that wait for a person. */
export function useConflicts(): LiveState {
  return useLive(CONFLICTS, { where: { state: "open" } });
}

/** Whether and how far the device is in step with the server; `undefined` until it was read for the first time. */
export function useSyncState(): Status | undefined {
  const client = useClient();
  const status = useMemo(() => statusOf(client), [client]);
  return useSyncExternalStore(status.subscribe, status.snapshot, status.snapshot);
}

/**
 * Who else looks at a record while the component shows it; the others see this person. `isEditing`: they are about to change
 * it, which is what the others are warned of.
 */
export function usePresence(entity: string, id: string, isEditing = false): Seen {
  const client = useClient();
  const watch = useMemo(() => watchPresence(client, entity, id), [client, entity, id]);
  useEffect(() => watch.edit(isEditing), [watch, isEditing]);
  return useSyncExternalStore(watch.subscribe, watch.snapshot, watch.snapshot);
}

type TypesOf<Types, Name extends keyof Types> = Types[Name] extends EntityTypes ? Types[Name] : EntityTypes;

function useLive(entity: string, query: Query): LiveState {
  const client = useClient();
  const { isReady } = useAuth();
  const text = JSON.stringify(query);
  const live = useMemo(
    (): External<LiveState> => (isReady ? client.live(entity, JSON.parse(text) as Query) : NOTHING),
    [client, isReady, entity, text],
  );
  return useSyncExternalStore(live.subscribe, live.snapshot, live.snapshot);
}

function authOf(client: AnyClient): External<ReturnType<typeof useAuth>> {
  const read = () => ({ credentials: client.credentials, isReady: client.isReady });
  let state = read();
  return {
    snapshot: () => {
      const next = read();
      const isSame = next.credentials === state.credentials && next.isReady === state.isReady;
      state = isSame ? state : next;
      return state;
    },
    subscribe: (listener) => client.onEvent(listener),
  };
}

/** Read anew after every event; readings do not overtake one another. */
function statusOf(client: AnyClient): External<Status | undefined> {
  let state: Status | undefined;
  return {
    snapshot: () => state,
    subscribe: (listener) => {
      let isOpen = true;
      const read = async (): Promise<void> => {
        // No tab answers while the lead changes hands; the next event reads again.
        const next = await client.status().catch(() => state);
        if (isOpen && JSON.stringify(next) !== JSON.stringify(state)) {
          state = next;
          listener();
        }
      };
      const stop = client.onEvent(() => void read());
      void read();
      return () => {
        isOpen = false;
        stop();
      };
    },
  };
}
