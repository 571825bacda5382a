/** A device on which somebody signed in in an earlier run, without a network. */

import { type CrmEntities, crm } from "../../src/crm/index.ts";
import { Client } from "../../src/index.ts";
import type { ReplicaMeta, ReplicaStore } from "../../src/replica/store.ts";
import { MemoryStore } from "../../src/storage/memory.ts";

const ID = "00000000-0000-7000-8000-000000000001";
const META: ReplicaMeta = {
  workspaceId: "acme",
  userId: ID,
  deviceId: ID,
  clientId: ID,
  cursor: 0,
  nextClientSeq: 1,
  decidedUpto: 0,
  lastSyncMs: 0,
  leaseUntilMs: 0,
  repairs: 0,
};

export async function signedInStore(): Promise<MemoryStore> {
  const store = new MemoryStore();
  await store.write({ meta: META });
  return store;
}

export async function offlineDevice(store?: ReplicaStore): Promise<Client<CrmEntities>> {
  const held = store ?? (await signedInStore());
  return Client.open<CrmEntities>({
    server: "http://127.0.0.1:9",
    ...crm,
    store: async () => held,
    mode: "web_app",
    deviceName: "test",
    platform: { WebSocket: class {} as unknown as typeof WebSocket },
  });
}
