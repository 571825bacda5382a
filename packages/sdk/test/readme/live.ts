import type { AnyClient } from "@syncline/sdk";
import type { CrmEntities } from "@syncline/sdk/crm";

export function watchNavy({ db }: AnyClient<CrmEntities>, render: (names: string[]) => void): () => void {
  const query = db.contacts.live({ where: { tags: "navy" }, sort: "lastname", limit: 50 });
  return query.subscribe(() => {
    const { rows } = query.snapshot();
    render(rows.map(({ fields, state }) => `${fields.firstname} ${fields.lastname} (${state})`));
  });
}
