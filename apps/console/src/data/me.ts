/** Who is signed in, as the synced records have it: known without a network. */

import { useById, useLive } from "./live.ts";
import { ranks } from "./schema.ts";
import { useStatus } from "./sync.ts";

export interface Me {
  readonly userId: string;
  readonly name: string;
  readonly email: string;
  readonly role: string;
  /** Of the role: 60 owner, 50 admin, 40 manager, 30 agent, 20 integration, 10 viewer; 0 until it is known. */
  readonly rank: number;
  readonly workspace: string;
}

export const RANK_AGENT = 30;
export const RANK_ADMIN = 50;

export function useMe(): Me {
  const userId = useStatus()?.meta?.userId ?? "";
  const user = useById("users").get(userId);
  const member = useLive("workspace_members", { where: { user_id: userId } }).rows[0];
  const workspace = useLive("workspaces").rows[0];
  const role = member?.fields.role ?? "";
  return {
    userId,
    name: user?.fields.name ?? "",
    email: user?.fields.email ?? "",
    role,
    rank: ranks[role] ?? 0,
    workspace: workspace?.fields.name ?? "",
  };
}
