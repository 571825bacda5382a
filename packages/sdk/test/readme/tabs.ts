import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { indexedDb } from "@syncline/sdk/indexeddb";
import { watchQuota } from "@syncline/sdk/quota";
import { TabClient } from "@syncline/sdk/tabs";

/** In every tab: one of them has the store and the connection, and the others ask it. */
export function openTab(server: string, warn: (message: string) => void): Promise<TabClient<CrmEntities>> {
  const onLow = () => warn("This browser has little room left: free some space, or changes can no longer be saved.");
  return TabClient.open<CrmEntities>({
    name: "crm in tabs",
    server,
    ...crm,
    store: watchQuota(indexedDb({ name: "crm in tabs" }), { onLow }),
    mode: "web_app",
    deviceName: "Dana's browser",
  });
}
