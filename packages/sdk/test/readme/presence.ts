import type { AnyClient } from "@syncline/sdk";
import { watchPresence } from "@syncline/sdk/presence";

/** While a record is open: who else has it open, and a warning to them while this person changes it. */
export function openRecord<Types>(client: AnyClient<Types>, id: string, show: (others: string[]) => void) {
  const watch = watchPresence(client, "contacts", id);
  const close = watch.subscribe(() => {
    const { viewers } = watch.snapshot();
    show(viewers.map(({ userId, isEditing }) => (isEditing ? `${userId} is changing it` : userId)));
  });
  return { edit: watch.edit, close };
}
