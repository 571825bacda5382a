import { deviceKey } from "@syncline/sdk/devicekey";
import { indexedDb } from "@syncline/sdk/indexeddb";
import { sealed } from "@syncline/sdk/sealed";

/** For `store`: sensitive fields, tokens and drafts are encrypted under a key that no script can read. */
export async function sealedStore(name: string) {
  return sealed(indexedDb({ name }), await deviceKey(name));
}
