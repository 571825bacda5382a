import type { AnyClient } from "@syncline/sdk";
import type { CrmEntities } from "@syncline/sdk/crm";
import { Rest } from "@syncline/sdk/rest";

/** Without a copy on the device: for reports and scripts. A request that may be tried again is, and no write happens twice. */
export async function countBySource(server: string, client: AnyClient<CrmEntities>): Promise<Map<string, number>> {
  const rest = new Rest<CrmEntities>({ server, token: (renew) => client.token(renew) });
  const counts = new Map<string, number>();
  for await (const page of rest.entity("contacts").pages({ limit: 500 })) {
    if (!page.ok) {
      throw new Error(page.error.failure === "refused" ? page.error.problem.message : page.error.message);
    }
    for (const { lead_source: source = "none" } of page.value.items) {
      counts.set(source, (counts.get(source) ?? 0) + 1);
    }
  }
  return counts;
}
