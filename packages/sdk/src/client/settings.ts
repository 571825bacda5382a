/** Settings of the person or of the workspace: records of `settings`, which follow the person to every device. */

import { naturalId } from "../ids.ts";
import { type Json, member } from "../json.ts";
import { type Drafted, type LocalError, localError } from "../replica/edit.ts";
import { err, type Result } from "../result.ts";
import type { AnyClient } from "./any.ts";

/** Whose setting it is. Those of the workspace need the rank the schema's rules ask for. */
export type SettingScope = "user" | "workspace";

/** The value of a setting as this device has it; `undefined`: there is none. */
export async function loadSetting<Types>(
  client: AnyClient<Types>,
  scope: SettingScope,
  key: string,
): Promise<Json | undefined> {
  const id = await idOf(client, scope, key);
  const found = id === undefined ? undefined : await client.get("settings", id);
  return found && member(found.fields, "value");
}

/** Sets a setting; durable when this resolves. Two devices that set it at the same time write one record (spec ID-3). */
export async function saveSetting<Types>(
  client: AnyClient<Types>,
  scope: SettingScope,
  key: string,
  value: Json,
): Promise<Result<Drafted, LocalError>> {
  const [id, owner] = [await idOf(client, scope, key), client.credentials?.userId];
  if (id === undefined || owner === undefined) {
    return err(localError("unauthenticated", "nobody has signed in on this device: call signIn first"));
  }
  if ((await client.get("settings", id)) !== undefined) {
    return client.mutate([{ edit: "update", entity: "settings", id, fields: { value } }]);
  }
  const fields = { scope, key, value, ...(scope === "user" && { user_id: owner }) };
  return client.mutate([{ edit: "create", entity: "settings", id, fields }]);
}

async function idOf<Types>(client: AnyClient<Types>, scope: SettingScope, key: string): Promise<string | undefined> {
  const { workspaceId, userId } = client.credentials ?? {};
  if (workspaceId === undefined || userId === undefined) {
    return undefined;
  }
  return naturalId(workspaceId, "settings", [scope, scope === "user" ? userId : "", key].join("\u0000"));
}
