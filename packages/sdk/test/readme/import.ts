import type { AnyClient, Edit } from "@syncline/sdk";
import { importOnce } from "@syncline/sdk/import";

/** What the program kept in `localStorage` before. May be called at every start: it is taken once. */
export async function takeOldLeads<Types>(client: AnyClient<Types>, old: { name: string }[]): Promise<string[]> {
  const edits = old.map(
    ({ name }): Edit => ({ edit: "create", entity: "contacts", id: client.mintId(), fields: { firstname: name } }),
  );
  const report = await importOnce(client, "leads of version 1", edits);
  if (!report.ok) {
    throw new Error(report.error.message);
  }
  return report.value.refused.map(({ error }) => error.message);
}
