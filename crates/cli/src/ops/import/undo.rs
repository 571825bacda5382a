//! Taking an import back: what it created and nobody has touched since goes, everything else stays and is listed.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use serde::Serialize;
use syncline_core::Value;
use syncline_core::change::{ChangeKind, Op, OutcomeKind};
use syncline_core::engine::{PushReply, plan_group};
use syncline_core::id::{RecordId, ScopeId, WorkspaceId};
use syncline_core::schema::{Entity, OnDelete, Schema};
use syncline_core::storage::{Read, Store as _, StoreResult, Wanted};
use syncline_core::{Name, Seq};
use syncline_storage::Database;

use super::state::{self, IMPORTS, Import, ImportState};

const OPTIONS: &str = "status_options";
/// Mutations undone in one commit.
const BATCH: usize = 200;

#[derive(Clone, Default, Debug, Serialize)]
pub struct UndoReport {
    pub import_id: RecordId,
    pub deleted: u64,
    /// Gone before.
    pub gone: u64,
    pub kept: Vec<Kept>,
}

/// A record that stays, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    pub entity: Name,
    pub id: RecordId,
    pub reason: String,
}

pub struct Undo<'a> {
    pub schema: &'a Schema,
    pub workspace: &'a WorkspaceId,
    pub import: Import,
    /// Also what was edited since.
    pub is_forced: bool,
}

impl Undo<'_> {
    /// May be killed and run again: what is gone stays gone, what is left goes.
    pub fn run(&self, store: &mut Database, mut tick: impl FnMut(u64)) -> anyhow::Result<UndoReport> {
        let seqs = store.read(self.workspace, |read| state::seqs(read, self.import.client_id))?;
        let mut report = UndoReport { import_id: self.import.id, ..UndoReport::default() };
        // Status options last: until then the leads refer to them.
        let rounds =
            [false, true].into_iter().flat_map(|of_options| seqs.rchunks(BATCH).map(move |seqs| (of_options, seqs)));
        for (of_options, seqs) in rounds {
            let before = UndoReport { kept: Vec::new(), ..report.clone() };
            let wanted = store.read(self.workspace, |read| self.wanted(read, seqs))?;
            let part = store.transact(self.workspace, &wanted, |read| {
                let mut part = before.clone();
                let mutations = self.plan(read, (seqs, of_options), &mut part)?;
                let request = self.import.request(self.workspace, read, mutations)?;
                let plan = plan_group(self.schema, self.workspace, read, &[request])?;
                Ok((plan.writes, (part, plan.replies)))
            });
            let (part, replies) = part.context("undoing a batch failed")?;
            if let Some(PushReply::Outcomes(outcomes)) = replies.first() {
                let mut rejected = outcomes.iter().filter(|outcome| outcome.outcome == OutcomeKind::Rejected);
                if let Some(refused) = rejected.next() {
                    bail!("undoing stopped: {}", refused.detail.as_deref().unwrap_or("refused"));
                }
            }
            (report.deleted, report.gone) = (part.deleted, part.gone);
            report.kept.extend(part.kept);
            if !of_options {
                tick(seqs.len() as u64);
            }
        }
        self.import.finish(store, (self.schema, self.workspace), ImportState::Reverted)?;
        Ok(report)
    }

    /// What undoing the entries at `seqs` will read, for a store that is a round trip away.
    fn wanted(&self, read: &dyn Read, seqs: &[Seq]) -> StoreResult<Wanted> {
        let (Some(first), Some(last)) = (seqs.first(), seqs.last()) else { return Ok(Wanted::default()) };
        let mut wanted = Wanted { log: seqs.iter().copied().collect(), ..Wanted::default() };
        wanted.clients.insert(self.import.client_id);
        wanted.scopes.insert(ScopeId::WORKSPACE);
        // An import's entries lie close together: others wrote little in between.
        let entries = read.log(first - 1, *last, 2 * BATCH)?;
        let own = entries.iter().filter(|entry| entry.client_id == self.import.client_id);
        for change in own.flat_map(|entry| &entry.changes).filter(|change| change.kind == ChangeKind::Put) {
            wanted.records.insert((change.entity.clone(), change.id));
            let holders = self.holders(&change.entity);
            wanted
                .values
                .extend(holders.map(|(from, field)| (from.name.clone(), field.clone(), change.id.to_string())));
        }
        Ok(wanted)
    }

    /// The deletions that undo the entries at `seqs`, latest first.
    fn plan(
        &self,
        read: &dyn Read,
        (seqs, of_options): (&[Seq], bool),
        report: &mut UndoReport,
    ) -> StoreResult<Vec<Vec<Op>>> {
        let mut mutations = Vec::new();
        for seq in seqs.iter().rev() {
            let Some(entry) = read.log_entry(*seq)? else {
                if of_options {
                    continue;
                }
                let reason = format!("change {seq} is past the retention horizon and no longer known");
                report.kept.push(Kept { entity: Name::default(), id: RecordId::NIL, reason });
                continue;
            };
            if entry.client_id != self.import.client_id {
                continue;
            }
            let is_creation = |change: &&syncline_core::change::Change| {
                let is_option = change.entity == OPTIONS;
                change.kind == ChangeKind::Put && change.entity != IMPORTS && is_option == of_options
            };
            let created: Vec<_> =
                entry.changes.iter().filter(is_creation).map(|change| (&change.entity, change.id)).collect();
            let together: BTreeSet<RecordId> = created.iter().map(|(_, id)| *id).collect();
            if let Some(ops) = self.delete_all(read, &created, &together, report)? {
                mutations.push(ops);
            }
        }
        Ok(mutations)
    }

    /// Deletes what a row made, all or nothing: a contact whose lead was edited stays, and so does the lead.
    fn delete_all(
        &self,
        read: &dyn Read,
        created: &[(&Name, RecordId)],
        together: &BTreeSet<RecordId>,
        report: &mut UndoReport,
    ) -> StoreResult<Option<Vec<Op>>> {
        let (mut ops, mut reasons, mut gone) = (Vec::new(), Vec::new(), 0);
        for (entity, id) in created.iter().rev() {
            let Some(record) = read.record(entity, *id)?.filter(|record| !record.is_deleted) else {
                gone += 1;
                continue;
            };
            let last = read.log_entry(record.rv)?;
            if last.is_none_or(|entry| entry.client_id != self.import.client_id) {
                reasons.push(Kept { entity: (*entity).clone(), id: *id, reason: "edited since the import".to_owned() });
            }
            if let Some(reason) = self.holder(read, entity, *id, together)? {
                reasons.push(Kept { entity: (*entity).clone(), id: *id, reason });
            }
            ops.push(Op::Delete { entity: (*entity).clone(), id: *id, base_rv: record.rv });
        }
        let is_option = created.iter().any(|(entity, _)| *entity == OPTIONS);
        let is_kept = !reasons.is_empty() && (!self.is_forced || is_option);
        report.gone += gone;
        if is_kept {
            report.kept.extend(reasons);
            return Ok(None);
        }
        report.deleted += ops.len() as u64;
        Ok((!ops.is_empty()).then_some(ops))
    }

    /// The fields by which a record of `entity` may be held.
    fn holders<'s>(&'s self, entity: &'s str) -> impl Iterator<Item = (&'s Entity, &'s Name)> {
        let referring = self.schema.referrers(entity).filter(|(.., on_delete)| *on_delete != OnDelete::Keep);
        let referring = referring.map(|(from, field, _)| (from, &field.name));
        let about = self.schema.entities.values().filter_map(|from| {
            let field = from.field("subject_id").filter(|field| field.is_indexed)?;
            Some((from, &field.name))
        });
        referring.chain(about)
    }

    /// What somebody else has attached to the record since: deleting it would take that along or leave it dangling.
    fn holder(
        &self,
        read: &dyn Read,
        entity: &str,
        id: RecordId,
        together: &BTreeSet<RecordId>,
    ) -> StoreResult<Option<String>> {
        let value = Value::from(id.to_string());
        for (from, field) in self.holders(entity) {
            let found = read.find(&from.name, field, &value, together.len() + 1)?;
            for other in found.into_iter().filter(|other| !together.contains(other)) {
                let Some(record) = read.record(&from.name, other)? else { continue };
                let made = read.log_entry(record.versions.created.seq())?;
                let is_own = made.is_some_and(|entry| entry.client_id == self.import.client_id);
                if !is_own || entity == OPTIONS {
                    return Ok(Some(format!("{} {other} refers to it", from.name)));
                }
            }
        }
        Ok(None)
    }
}
