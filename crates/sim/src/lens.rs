//! A view of the store as a planted bug sees it.

use syncline_core::change::LogEntry;
use syncline_core::digest::Digest;
use syncline_core::engine::access::{MEMBERS, TEAMS};
use syncline_core::id::{ClientId, RecordId, ScopeId, WorkspaceId};
use syncline_core::record::Record;
use syncline_core::storage::{
    ChangedPage, ClientState, Departure, Head, ListQuery, MemoryStore, Read, Store, StoreResult, StoredOutcome,
};
use syncline_core::{Name, Seq, Value};

/// Delegates to `now`, except where a bug looks elsewhere.
pub struct Lens<'a> {
    pub now: &'a dyn Read,
    /// Members and teams are read from here.
    pub access_from: Option<(&'a MemoryStore, &'a WorkspaceId)>,
    /// The retention horizon is ignored.
    pub has_no_horizon: bool,
}

impl Read for Lens<'_> {
    fn head(&self) -> StoreResult<Head> {
        let head = self.now.head()?;
        Ok(if self.has_no_horizon { Head { min_seq: 0, ..head } } else { head })
    }
    fn record(&self, entity: &str, id: RecordId) -> StoreResult<Option<Record>> {
        match self.access_from {
            Some((store, workspace)) if entity == MEMBERS || entity == TEAMS => {
                store.read(workspace, |read| read.record(entity, id))
            }
            _ => self.now.record(entity, id),
        }
    }
    fn find(&self, entity: &str, field: &str, value: &Value, limit: usize) -> StoreResult<Vec<RecordId>> {
        match self.access_from {
            Some((store, workspace)) if entity == TEAMS => {
                store.read(workspace, |read| read.find(entity, field, value, limit))
            }
            _ => self.now.find(entity, field, value, limit),
        }
    }
    fn find_unique(&self, entity: &str, unique: &str, key: &str) -> StoreResult<Vec<RecordId>> {
        self.now.find_unique(entity, unique, key)
    }
    fn client(&self, client_id: ClientId) -> StoreResult<Option<ClientState>> {
        self.now.client(client_id)
    }
    fn outcome(&self, client_id: ClientId, client_seq: u64) -> StoreResult<Option<StoredOutcome>> {
        self.now.outcome(client_id, client_seq)
    }
    fn outcomes_from(&self, client_id: ClientId, first: u64, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        self.now.outcomes_from(client_id, first, limit)
    }
    fn list(&self, query: &ListQuery) -> StoreResult<Vec<Record>> {
        self.now.list(query)
    }
    fn log_entry(&self, seq: Seq) -> StoreResult<Option<LogEntry>> {
        self.now.log_entry(seq)
    }
    fn log(&self, after: Seq, to: Seq, limit: usize) -> StoreResult<Vec<LogEntry>> {
        self.now.log(after, to, limit)
    }
    fn scope_digest(&self, scope: &ScopeId) -> StoreResult<Digest> {
        self.now.scope_digest(scope)
    }
    fn scopes(&self) -> StoreResult<Vec<(ScopeId, Digest)>> {
        self.now.scopes()
    }
    fn changed(&self, page: &ChangedPage) -> StoreResult<Vec<Record>> {
        self.now.changed(page)
    }
    fn departures(&self, scope: &ScopeId, after: Seq, to: Seq) -> StoreResult<Vec<Departure>> {
        self.now.departures(scope, after, to)
    }
    fn scope_rows(&self, scope: &ScopeId) -> StoreResult<Vec<(Name, RecordId, Seq)>> {
        self.now.scope_rows(scope)
    }
    fn scan(&self, entity: &str, after: Option<RecordId>, limit: usize) -> StoreResult<Vec<Record>> {
        self.now.scan(entity, after, limit)
    }
    fn rejected(&self, limit: usize) -> StoreResult<Vec<StoredOutcome>> {
        self.now.rejected(limit)
    }
}
