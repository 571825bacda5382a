import { Client } from "@syncline/sdk";
import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { fallback } from "@syncline/sdk/fallback";
import { memory } from "@syncline/sdk/memory";

/** Where a proxy lets no WebSocket through the client goes on by a stream of events or by long polls, and back by itself. */
export function openAnywhere(server: string, show: (transport: string) => void): Promise<Client<CrmEntities>> {
  return Client.open<CrmEntities>({
    server,
    ...crm,
    store: memory(),
    mode: "local_install",
    deviceName: "Dana's laptop",
    connect: fallback({ onTransport: show }),
  });
}
