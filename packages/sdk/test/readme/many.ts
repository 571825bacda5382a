import type { AnyClient, Edit } from "@syncline/sdk";
import { mutateAll } from "@syncline/sdk/import";

/** Rows of a file: ten thousand are on the device within seconds, and one that does not fit holds up no other. */
export async function importRows<Types>(client: AnyClient<Types>, rows: { name: string; email: string }[]) {
  const mutations = rows.map(({ name, email }): Edit[] => [
    { edit: "create", entity: "contacts", id: client.mintId(), fields: { firstname: name, email } },
  ]);
  const results = await mutateAll(client, mutations, {
    onProgress: (done) => console.log(`${done} of ${rows.length}`),
  });
  return rows.flatMap((row, index) => {
    const result = results[index];
    return result?.ok === false ? [{ row, reason: result.error.message }] : [];
  });
}
