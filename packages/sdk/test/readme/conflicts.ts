import type { AnyClient } from "@syncline/sdk";
import type { CrmEntities } from "@syncline/sdk/crm";

export async function settle(client: AnyClient<CrmEntities>): Promise<void> {
  for (const conflict of await client.select("conflicts", { where: { state: "open" } })) {
    await client.resolve(conflict.id, "use_theirs");
  }
  for (const { mutation, outcome } of await client.rejected()) {
    console.warn(outcome.code, outcome.detail);
    await client.discardRejected(mutation.client_seq);
  }
}
