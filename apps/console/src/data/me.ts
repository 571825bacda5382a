/** Who is signed in, as the synced records have it: known without a network. */

import { useCallback } from "react";
import { useById, useLive } from "./live.ts";
import { type Deed, may, ranks } from "./schema.ts";
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

export const RANK_ADMIN = 50;

export function useMe(): Me {
  const { userId, role } = useMember();
  const user = useById("users").get(userId);
  const workspace = useLive("workspaces").rows[0];
  return {
    userId,
    name: user?.fields.name ?? "",
    email: user?.fields.email ?? "",
    role,
    rank: ranks[role] ?? 0,
    workspace: workspace?.fields.name ?? "",
  };
}

export type May = (deed: Deed, entity: string, field?: string) => boolean;

/** Says what the person who is signed in may do, as {@link may} does; nothing, until their role is known. */
export function useMay(): May {
  const { role } = useMember();
  return useCallback((deed, entity, field) => may(ranks[role] ?? 0, deed, entity, field), [role]);
}

function useMember(): { readonly userId: string; readonly role: string } {
  const userId = useStatus()?.meta?.userId ?? "";
  const member = useLive("workspace_members", { where: { user_id: userId } }).rows[0];
  return { userId, role: member?.fields.role ?? "" };
}
