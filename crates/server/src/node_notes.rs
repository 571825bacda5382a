//! What every node leaves in the database about itself, so that `syncline doctor` can find nodes that do not fit together.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use syncline_core::TimestampMs;
use syncline_core::storage::{StoreError, StoreResult};
use syncline_storage::DatabaseAuth;

/// A node as it last said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeNote {
    /// Address under which it is known.
    pub address: String,
    pub noted_ms: TimestampMs,
    pub version: String,
    /// Of the key that signs its tokens, see [`key_fingerprint`].
    pub key_fingerprint: String,
}

const PREFIX: &str = "node-note:";
/// A note that was not renewed for so long is deleted; milliseconds (7 days).
const KEPT_MS: u64 = 7 * 86_400_000;
/// A note that was not renewed for so long is of a node that is gone; milliseconds. Nodes renew theirs every hour.
const CURRENT_MS: u64 = 3 * 3_600_000;

/// Tells keys apart without telling anything of them: 16 hexadecimal digits of a hash with a prefix of its own.
pub fn key_fingerprint(secret: &[u8]) -> String {
    let hash = Sha256::new_with_prefix(b"syncline signing key\0").chain_update(secret).finalize();
    hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Renews a node's note and deletes those of nodes long gone. Blocks.
pub fn renew(store: &DatabaseAuth, note: &NodeNote) -> StoreResult<()> {
    let text = serde_json::to_vec(note).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    store.kv_put(None, &format!("{PREFIX}{}", note.address), &text)?;
    for (key, old) in read(store)? {
        if old.noted_ms.saturating_add(KEPT_MS) < note.noted_ms {
            store.kv_delete(None, &key)?;
        }
    }
    Ok(())
}

/// The nodes that have said something in the last three hours, by address. Blocks.
pub fn current(store: &DatabaseAuth, now: TimestampMs) -> StoreResult<Vec<NodeNote>> {
    let notes = read(store)?.into_iter().map(|(_, note)| note);
    Ok(notes.filter(|note| note.noted_ms.saturating_add(CURRENT_MS) >= now).collect())
}

fn read(store: &DatabaseAuth) -> StoreResult<Vec<(String, NodeNote)>> {
    let mut notes = Vec::new();
    for key in store.kv_list(None, PREFIX)? {
        // One that is gone meanwhile, or was written by a later version, is none.
        let note = store.kv_get(None, &key)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        notes.extend(note.map(|note| (key, note)));
    }
    Ok(notes)
}
