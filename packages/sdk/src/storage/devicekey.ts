/** A key that never leaves the browser: made once, kept in a database of its own, and not readable by any script. */

import { openDB } from "idb";

const STORE = "keys";
const KEY = "device";

/**
 * The key of a device, AES-256-GCM, made with the first call. It protects against whoever copies the files of the store,
 * not against a script that runs in the page.
 */
export async function deviceKey(name: string): Promise<CryptoKey> {
  const db = await openDB(`${name} key`, 1, {
    upgrade: (upgraded) => {
      upgraded.createObjectStore(STORE);
    },
  });
  try {
    const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    // Two tabs may come here at once: the first key stays, in one transaction.
    const transaction = db.transaction(STORE, "readwrite");
    const held = (await transaction.store.get(KEY)) as CryptoKey | undefined;
    if (held === undefined) {
      await transaction.store.put(made, KEY);
    }
    await transaction.done;
    return held ?? made;
  } finally {
    db.close();
  }
}
