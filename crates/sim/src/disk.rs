//! Disks: appended journals that lose what was not synced, and tear what was being written.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use syncline_core::id::{RecordId, ScopeId, WorkspaceId};
use syncline_core::replica::{
    BaseRecord, MemoryReplica, Pending, Rejected, ReplicaError, ReplicaMeta, ReplicaResult, ReplicaStore,
    ReplicaWrites, ScopeState,
};
use syncline_core::schema::Schema;
use syncline_core::storage::{MemoryStore, WriteSet};
use syncline_core::{Name, Seq, Value};

use crate::plant::Bug;
use crate::rng::Rng;

/// The server's disk: an image and a journal of write sets after it.
#[derive(Clone, Debug)]
pub struct ServerDisk {
    image: MemoryStore,
    lines: Vec<String>,
    synced: usize,
    /// First line a failed sync lost; the device forgot it although the cache still shows it.
    lost_from: Option<usize>,
}

/// What a crash did to the journal.
#[derive(Clone, Copy, Default, Debug)]
pub struct Damage {
    pub lost_lines: usize,
    pub is_torn: bool,
}

impl ServerDisk {
    pub fn new(image: MemoryStore) -> Self {
        Self { image, lines: Vec::new(), synced: 0, lost_from: None }
    }

    pub fn append(&mut self, writes: &WriteSet) {
        self.lines.push(serde_json::to_string(writes).expect("a write set encodes"));
    }

    /// Makes everything appended durable. `false`: the disk failed, and what was not synced is gone at the next crash.
    pub fn sync(&mut self, fails: bool) -> bool {
        if fails {
            self.lost_from.get_or_insert(self.synced);
            return false;
        }
        self.synced = self.lines.len();
        true
    }

    /// Replaces the journal by an image, atomically.
    pub fn checkpoint(&mut self, image: MemoryStore) {
        *self = Self::new(image);
    }

    /// Loses power: a random prefix of what was not synced survives, and the line after it may be torn.
    pub fn crash(&mut self, rng: &mut Rng) -> Damage {
        let before = self.lines.len();
        let unsynced = self.lines.len().saturating_sub(self.synced);
        let mut kept = self.synced + usize::try_from(rng.below(unsynced as u64 + 1)).unwrap_or(0);
        if let Some(lost) = self.lost_from.take() {
            kept = kept.min(lost);
        }
        let torn = (kept < before && kept >= self.synced && rng.chance(500)).then(|| self.lines[kept].clone());
        self.lines.truncate(kept);
        let is_torn = torn.is_some();
        if let Some(line) = torn {
            let bytes = usize::try_from(rng.below(line.len() as u64)).unwrap_or(0);
            self.lines.push(line.chars().take(bytes).collect());
        }
        self.synced = self.lines.len();
        Damage { lost_lines: before - kept, is_torn }
    }

    /// The store as the disk has it. A torn last line is dropped.
    pub fn recover(&mut self, workspace: &WorkspaceId, bug: Option<Bug>) -> MemoryStore {
        let mut store = self.image.clone();
        let mut kept = 0;
        for line in &self.lines {
            let Ok(mut writes) = serde_json::from_str::<WriteSet>(line) else { break };
            if bug == Some(Bug::DedupeNotDurable) {
                writes.outcomes.clear();
                writes.clients.clear();
            }
            if store.apply(workspace, &writes).is_err() {
                break;
            }
            kept += 1;
        }
        self.lines.truncate(kept);
        self.synced = kept;
        store
    }
}

/// What the world does to one device's disk.
#[derive(Debug, Default)]
pub struct DeviceDisk {
    /// Synced writes, one line each.
    pub lines: RefCell<Vec<String>>,
    /// The device dies at the write after so many more: `(writes, is it on disk)`.
    pub dies_in: Cell<Option<(u64, bool)>>,
    /// The disk is full for so many writes.
    pub full_for: Cell<u64>,
    pub is_dead: Cell<bool>,
    pub bug: Cell<Option<Bug>>,
}

impl DeviceDisk {
    /// The store as the disk has it.
    pub fn recover(&self, schema: &Arc<Schema>) -> MemoryReplica {
        self.is_dead.set(false);
        self.dies_in.set(None);
        let mut store = MemoryReplica::new(schema.clone());
        for line in self.lines.borrow().iter() {
            let writes: ReplicaWrites = serde_json::from_str(line).expect("a synced line is whole");
            store.apply(&writes).expect("a synced write was accepted before");
        }
        store
    }
}

/// A device's store over its disk.
#[derive(Debug)]
pub struct SimReplica {
    inner: MemoryReplica,
    disk: Rc<DeviceDisk>,
}

impl SimReplica {
    pub fn new(inner: MemoryReplica, disk: Rc<DeviceDisk>) -> Self {
        Self { inner, disk }
    }

    fn died() -> ReplicaError {
        ReplicaError::Io("the device lost power".into())
    }

    fn write_one(&mut self, writes: &ReplicaWrites) -> ReplicaResult<()> {
        let disk = &self.disk;
        if disk.is_dead.get() {
            return Err(Self::died());
        }
        if disk.full_for.get() > 0 {
            disk.full_for.set(disk.full_for.get() - 1);
            return Err(ReplicaError::Full);
        }
        let death = disk.dies_in.get();
        let (is_now, is_written) = match death {
            Some((0, is_written)) => (true, is_written),
            Some((left, is_written)) => {
                disk.dies_in.set(Some((left - 1, is_written)));
                (false, true)
            }
            None => (false, true),
        };
        if is_written {
            self.inner.apply(writes)?;
            disk.lines.borrow_mut().push(serde_json::to_string(writes).expect("writes encode"));
        }
        if is_now {
            disk.is_dead.set(true);
            return Err(Self::died());
        }
        Ok(())
    }
}

impl ReplicaStore for SimReplica {
    fn meta(&self) -> ReplicaResult<Option<ReplicaMeta>> {
        self.inner.meta()
    }
    fn base(&self, entity: &str, id: RecordId) -> ReplicaResult<Option<BaseRecord>> {
        self.inner.base(entity, id)
    }
    fn base_find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> ReplicaResult<Vec<RecordId>> {
        self.inner.base_find(entity, field, value, limit)
    }
    fn base_scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> ReplicaResult<Vec<BaseRecord>> {
        self.inner.base_scan(entity, after, limit)
    }
    fn base_count(&self, entity: &str) -> ReplicaResult<u64> {
        self.inner.base_count(entity)
    }
    fn base_rows(&self, scope: &ScopeId) -> ReplicaResult<Vec<(RecordId, Name, Seq)>> {
        self.inner.base_rows(scope)
    }
    fn scopes(&self) -> ReplicaResult<BTreeMap<ScopeId, ScopeState>> {
        self.inner.scopes()
    }
    fn outbox(&self, first: u64, limit: usize) -> ReplicaResult<Vec<Pending>> {
        self.inner.outbox(first, limit)
    }
    fn outbox_count(&self) -> ReplicaResult<u64> {
        self.inner.outbox_count()
    }
    fn pending_for(&self, entity: &str, id: RecordId) -> ReplicaResult<Vec<Pending>> {
        self.inner.pending_for(entity, id)
    }
    fn pending_ids(&self, entity: &str) -> ReplicaResult<Vec<RecordId>> {
        self.inner.pending_ids(entity)
    }
    fn rejected(&self) -> ReplicaResult<Vec<Rejected>> {
        self.inner.rejected()
    }
    fn acknowledged(&self, first: u64) -> ReplicaResult<Vec<Pending>> {
        self.inner.acknowledged(first)
    }
    fn write(&mut self, mut writes: ReplicaWrites) -> ReplicaResult<()> {
        if self.disk.bug.get() == Some(Bug::RejectedDropped) {
            writes.rejected_put.clear();
        }
        if self.disk.bug.get() == Some(Bug::CursorBeforeRows) && !writes.base_put.is_empty() {
            let rows = ReplicaWrites {
                base_put: std::mem::take(&mut writes.base_put),
                base_delete: std::mem::take(&mut writes.base_delete),
                ..ReplicaWrites::default()
            };
            self.write_one(&writes)?;
            return self.write_one(&rows);
        }
        self.write_one(&writes)
    }
}
