/** Who else looks at a record, and whether they are about to change it: the warning before a conflict. */

import type { AnyClient } from "../client/any.ts";
import type { Client } from "../client/client.ts";
import { type Lookouts, lookoutOf, type Seen, UNKNOWN } from "./lookout.ts";

export type { Look, Lookouts, Seen, Viewer } from "./lookout.ts";

/** A record that this person looks at while somebody listens. */
export interface PresenceWatch {
  /** Calls `listener` after every change until the function it returns is called. The first says that it is looked at. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Who else looks at it. Stable between changes. */
  readonly snapshot: () => Seen;
  /** Says whether this person is about to change it. */
  readonly edit: (isEditing: boolean) => void;
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Watches a record. Needs no network: without one nobody is known, and the server is told as soon as there is one. Throws
 * for an entity that the schema does not have.
 */
export function watchPresence<Types>(client: AnyClient<Types>, entity: string, id: string): PresenceWatch {
  if (!Object.hasOwn(client.db, entity)) {
    throw new Error(`the schema has no entity \`${entity}\``);
  }
  const lookouts: Lookouts = client.lookouts ?? lookoutOf(client as unknown as Client<never>);
  const watcher = client.mintId();
  const listeners = new Set<() => void>();
  let [seen, isEditing] = [UNKNOWN, false];
  const tell = (next: Seen): void => {
    if (listeners.size > 0 && JSON.stringify(next) !== JSON.stringify(seen)) {
      seen = next;
      for (const listener of [...listeners]) {
        listener();
      }
    }
  };
  const look = (): void => {
    // What is no id of a record is nobody's, and the server would take it for a fault of the connection.
    const isShown = listeners.size > 0 && UUID.test(id);
    lookouts.look(watcher, isShown ? { record: [entity, id], isEditing } : undefined, tell);
  };
  return {
    snapshot: () => seen,
    edit: (next) => {
      if (next !== isEditing) {
        isEditing = next;
        look();
      }
    },
    subscribe: (listener) => {
      const call = (): void => listener();
      listeners.add(call);
      if (listeners.size === 1) {
        look();
      }
      return () => {
        if (listeners.delete(call) && listeners.size === 0) {
          seen = UNKNOWN;
          look();
        }
      };
    },
  };
}
