//! The import's own record in `imports`: what a killed import resumes from, written in the same commit as the rows.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;
use syncline_core::change::{Mutation, Op, OutcomeKind};
use syncline_core::engine::{PushReply, PushRequest, plan_group};
use syncline_core::id::{ClientId, DeviceId, MutationId, RecordId, UserId, WorkspaceId};
use syncline_core::principal::Principal;
use syncline_core::record::Record;
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, Store as _, StoreResult, Wanted};
use syncline_core::{Fields, Name, Seq, Value};
use syncline_storage::Database;

use super::plan::client_of;
use crate::clock;

pub const IMPORTS: &str = "imports";

/// How many rows ended how. The last four always sum to `read`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Counters {
    pub read: u64,
    pub created: u64,
    pub updated: u64,
    pub skipped: u64,
    pub failed: u64,
    /// Rows that were taken but deserve a look.
    #[serde(default)]
    pub warnings: u64,
    /// Length of the error file that belongs to these rows.
    #[serde(default)]
    pub errors_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportState {
    Running,
    Done,
    Failed,
    Reverted,
}

impl ImportState {
    pub fn word(self) -> &'static str {
        match self {
            ImportState::Running => "running",
            ImportState::Done => "done",
            ImportState::Failed => "failed",
            ImportState::Reverted => "reverted",
        }
    }
}

/// What a running import knows of itself.
#[derive(Clone, Debug)]
pub struct Import {
    pub id: RecordId,
    pub client_id: ClientId,
    pub counters: Counters,
}

impl Import {
    pub fn new(id: RecordId) -> Self {
        Self { id, client_id: client_of(id), counters: Counters::default() }
    }

    pub fn from_record(record: &Record) -> anyhow::Result<Self> {
        let counters = record.fields.get("counters").cloned().unwrap_or_else(|| json!({}));
        let counters: Counters = serde_json::from_value(counters).context("the import's counters are damaged")?;
        Ok(Self { id: record.id, client_id: client_of(record.id), counters })
    }

    pub fn progress_op(&self, base_rv: u64, counters: &Counters, state: ImportState) -> Op {
        let fields = Fields::from([
            (Name::new_static("counters"), json!(counters)),
            (Name::new_static("last_row"), json!(counters.read)),
            (Name::new_static("state"), json!(state.word())),
        ]);
        Op::Update { entity: Name::new_static(IMPORTS), id: self.id, base_rv, fields }
    }

    /// The next pushes of this import: one mutation for each list of ops.
    pub fn request(
        &self,
        workspace: &WorkspaceId,
        read: &dyn Read,
        mutations: impl IntoIterator<Item = Vec<Op>>,
    ) -> StoreResult<PushRequest> {
        let last = read.client(self.client_id)?.map_or(0, |client| client.last_client_seq);
        Ok(self.push(workspace, last, mutations))
    }

    /// As [`Import::request`], for mutations that follow the one numbered `last`.
    pub fn push(
        &self,
        workspace: &WorkspaceId,
        last: u64,
        mutations: impl IntoIterator<Item = Vec<Op>>,
    ) -> PushRequest {
        let mutations = mutations.into_iter().zip(last + 1..).map(|(ops, client_seq)| Mutation {
            mutation_id: MutationId(uuid::Uuid::new_v5(&self.id.0, &client_seq.to_be_bytes())),
            client_seq,
            age_ms: 0,
            ops,
            depends_on: Vec::new(),
        });
        PushRequest {
            principal: Principal {
                workspace_id: workspace.clone(),
                user_id: UserId::NIL,
                device_id: DeviceId::NIL,
                client_id: self.client_id,
                is_server: true,
            },
            mutations: mutations.collect(),
            received_ms: clock::now_ms(),
            deposit: None,
        }
    }

    /// Writes ops as one mutation; a rejection is an error.
    pub fn write(
        &self,
        store: &mut Database,
        (schema, workspace): (&Schema, &WorkspaceId),
        mut ops: impl FnMut(&dyn Read) -> StoreResult<Vec<Op>>,
    ) -> anyhow::Result<()> {
        let reply = store.transact(workspace, &Wanted::default(), |read| {
            let request = self.request(workspace, read, [ops(read)?])?;
            let plan = plan_group(schema, workspace, read, &[request])?;
            Ok((plan.writes, plan.replies))
        })?;
        match reply.first() {
            Some(PushReply::Outcomes(outcomes)) => {
                let mut refused = outcomes.iter().filter(|outcome| outcome.outcome == OutcomeKind::Rejected);
                if let Some(outcome) = refused.next() {
                    bail!("the import's record was refused: {}", outcome.detail.as_deref().unwrap_or("no reason"));
                }
                Ok(())
            }
            Some(PushReply::OutcomesThenGap { .. } | PushReply::Refused(_)) | None => {
                bail!("the import's record was refused")
            }
        }
    }

    /// Notes how it ended.
    pub fn finish(
        &self,
        store: &mut Database,
        place: (&Schema, &WorkspaceId),
        state: ImportState,
    ) -> anyhow::Result<()> {
        self.write(store, place, |read| Ok(vec![self.progress_op(self.rv(read)?, &self.counters, state)]))
    }

    pub fn rv(&self, read: &dyn Read) -> StoreResult<u64> {
        Ok(read.record(IMPORTS, self.id)?.map_or(0, |record| record.rv))
    }
}

/// Seqs of the entries that an import has written, in order.
pub fn seqs(read: &dyn Read, client_id: ClientId) -> StoreResult<Vec<Seq>> {
    let (mut seqs, mut first) = (Vec::new(), 1);
    loop {
        let page = read.outcomes_from(client_id, first, 1_000)?;
        let Some(last) = page.last() else { return Ok(seqs) };
        first = last.outcome.client_seq + 1;
        let effective = page.iter().filter(|stored| stored.outcome.outcome != OutcomeKind::Rejected);
        seqs.extend(effective.map(|stored| stored.outcome.seq));
    }
}

/// All imports of the workspace.
pub fn all(read: &dyn Read) -> StoreResult<Vec<Record>> {
    let (mut records, mut after) = (Vec::new(), None);
    loop {
        let page = read.scan(IMPORTS, after, 500)?;
        let Some(last) = page.last() else { return Ok(records) };
        after = Some(last.id);
        records.extend(page);
    }
}

/// Imports of the same file, latest last.
pub fn of_file(read: &dyn Read, file_sha256: &str) -> StoreResult<Vec<Record>> {
    let ids = read.find(IMPORTS, "file_sha256", &Value::from(file_sha256), 1_000)?;
    let mut records = Vec::new();
    for id in ids {
        records.extend(read.record(IMPORTS, id)?.filter(|record| !record.is_deleted));
    }
    Ok(records)
}

pub fn text<'r>(record: &'r Record, field: &str) -> &'r str {
    record.fields.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
