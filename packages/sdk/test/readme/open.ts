import { Client } from "@syncline/sdk";
import { type CrmEntities, crm } from "@syncline/sdk/crm";
import { indexedDb } from "@syncline/sdk/indexeddb";

export async function openClient(server: string): Promise<Client<CrmEntities>> {
  const client = await Client.open<CrmEntities>({
    server,
    ...crm,
    store: indexedDb({ name: "crm" }),
    mode: "web_app",
    deviceName: "Dana's browser",
  });
  if (client.credentials === undefined) {
    const signed = await client.signIn({ email: "demo@syncline.dev", password: "syncline-demo" });
    if (!signed.ok) {
      throw new Error(signed.error.failure === "refused" ? signed.error.problem.message : signed.error.message);
    }
  }
  await client.start();
  return client;
}
