//! The server's side of a session, as pure functions over a consistent view (spec §9–§13): what a replica gets, in which
//! frames. The shell keeps the socket; the simulator keeps its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Change, ChangeKind, LogEntry};
use crate::digest::Digest;
use crate::id::{RecordId, ScopeId};
use crate::principal::Grants;
use crate::protocol::{
    Batch, Hello, Range, RangeRows, ScopePlan, ServerFrame, SyncPlan, VerifyReply, WireChange, WireOp, limits,
};
use crate::record::Record;
use crate::schema::{Schema, Tier};
use crate::storage::{ChangedPage, Head, Read, StoreError, StoreResult};
use crate::{Name, Seq, Value};

/// What a `hello` gets: a plan per granted scope, and the catch-up work it promises.
#[derive(Clone, PartialEq, Debug)]
pub struct SessionPlan {
    pub head: Head,
    /// For `welcome.scopes`.
    pub scopes: Vec<ScopePlan>,
    /// Scopes to catch up with the seq they are held at; served by [`catch_up`] at `head`.
    pub catch_up: Vec<(ScopeId, Seq)>,
}

/// Plans every granted scope (spec SES-3, RET-1, EPO-1). O(scopes held and granted).
pub fn plan_session(read: &dyn Read, grants: &Grants, hello: &Hello) -> StoreResult<SessionPlan> {
    let head = read.head()?;
    let existing: BTreeMap<ScopeId, Digest> = read.scopes()?.into_iter().collect();
    let granted: Vec<ScopeId> = match grants {
        Grants::All => {
            let workspace = (!existing.contains_key(&ScopeId::WORKSPACE)).then_some(ScopeId::WORKSPACE);
            existing.keys().cloned().chain(workspace).collect()
        }
        Grants::Scopes(scopes) => scopes.iter().cloned().collect(),
    };
    let is_same_epoch = hello.epoch == Some(head.epoch);
    let mut scopes = Vec::with_capacity(granted.len());
    let mut catch_up = Vec::new();
    for id in granted {
        let digest = existing.get(&id).copied().unwrap_or_default();
        let held = hello.scopes.iter().find(|held| held.id == id);
        let held_seq = held.map_or(0, |held| held.seq);
        let holds_rows = held.is_some_and(|held| held.digest.count > 0);
        let plan = match held {
            _ if held_seq == 0 && digest.count > limits::SNAPSHOT_THRESHOLD && !holds_rows => {
                let url = format!("/api/sync/snapshot?scope={id}&seq={}", head.seq);
                SyncPlan::Snapshot { url, seq: head.seq, count: digest.count }
            }
            _ if held_seq == 0 && !holds_rows => SyncPlan::CatchUp { from: 0, to: head.seq },
            Some(held) if !is_same_epoch || held.seq < head.min_seq || held.seq > head.seq || held.seq == 0 => {
                SyncPlan::Reconcile { seq: head.seq }
            }
            Some(held) if held.digest == digest => SyncPlan::Resume,
            // Up to date and yet different: an interrupted repair.
            Some(held) if held.seq == head.seq => SyncPlan::Reconcile { seq: head.seq },
            Some(held) => SyncPlan::CatchUp { from: held.seq, to: head.seq },
            None => SyncPlan::CatchUp { from: 0, to: head.seq },
        };
        if let SyncPlan::CatchUp { from, .. } = &plan {
            catch_up.push((id.clone(), *from));
        }
        scopes.push(ScopePlan { id, plan });
    }
    Ok(SessionPlan { head, scopes, catch_up })
}

/// Room left in a frame for the envelope around its changes; bytes.
const FRAME_ENVELOPE_BYTES: usize = 8 * 1024;
/// Records read at once while catching up.
const CATCH_UP_PAGE: usize = 2_000;

/// What a catch-up sends.
#[derive(Clone, PartialEq, Debug)]
pub struct CatchUp {
    /// Empty when there is nothing to catch up.
    pub batches: Vec<Batch>,
    /// Scopes of which so much has changed that they did not fit: nothing of them is in the batches.
    pub left_out: Vec<ScopeId>,
}

/// The catch-up a plan promises, coalesced to one op per record and cut into frames (spec BAT-4 to BAT-6). Cost: what
/// changed, not what there is, and never more than about `bytes_max` held at a time.
pub fn catch_up(
    schema: &Schema,
    read: &dyn Read,
    grants: &Grants,
    (held, to): (&[(ScopeId, Seq)], Seq),
    bytes_max: usize,
) -> StoreResult<CatchUp> {
    let mut frames = Frames::new(to, bytes_max);
    let mut left_out = Vec::new();
    for (scope, seq) in held {
        let mark = frames.mark();
        if catch_up_scope(schema, read, grants, (scope, *seq), &mut frames)? {
            frames.from = Some(frames.from.map_or(*seq, |from| from.min(*seq)));
            frames.digests.push((scope.clone(), read.scope_digest(scope)?));
        } else {
            frames.back_to(mark);
            left_out.push(scope.clone());
        }
    }
    Ok(CatchUp { batches: frames.finish(), left_out })
}

/// Adds what changed in a scope; false: it does not fit, and only a part of it was added.
fn catch_up_scope(
    schema: &Schema,
    read: &dyn Read,
    grants: &Grants,
    (scope, seq): (&ScopeId, Seq),
    frames: &mut Frames,
) -> StoreResult<bool> {
    let to = frames.to;
    for departure in departures(read, scope, seq, to)? {
        let record = read.record(&departure.0, departure.1)?;
        // A deleted one too: the scope it died in may have nothing else to catch up with, and is resumed.
        let is_gone = record.as_ref().is_none_or(|record| record.is_deleted || !grants.includes(&record.scope));
        if is_gone && !frames.push(WireOp::Leave { entity: departure.0, id: departure.1 })? {
            return Ok(false);
        }
    }
    for entity in schema.entities.keys() {
        let mut after = seq;
        loop {
            let page = ChangedPage {
                scope: scope.clone(),
                entity: entity.clone(),
                after,
                to,
                live_only: seq == 0,
                limit: CATCH_UP_PAGE,
            };
            let records = read.changed(&page)?;
            let Some(last) = records.last() else { break };
            after = last.rv;
            let is_last = records.len() < CATCH_UP_PAGE;
            for record in records {
                if !frames.push(catch_up_op(record, seq))? {
                    return Ok(false);
                }
            }
            if is_last {
                break;
            }
        }
    }
    Ok(true)
}

fn departures(read: &dyn Read, scope: &ScopeId, after: Seq, to: Seq) -> StoreResult<Vec<(Name, RecordId)>> {
    if after == 0 {
        return Ok(Vec::new());
    }
    Ok(read.departures(scope, after, to)?.into_iter().map(|departure| (departure.entity, departure.id)).collect())
}

/// The same plan with a comparison (spec REP-1) for the scopes whose catch-up `is_refused`: that costs one question at a
/// time and no memory, however much has changed.
pub fn compare_instead(plan: &mut SessionPlan, is_refused: impl Fn(&ScopeId) -> bool) {
    for scope in &mut plan.scopes {
        if matches!(scope.plan, SyncPlan::CatchUp { .. }) && is_refused(&scope.id) {
            scope.plan = SyncPlan::Reconcile { seq: plan.head.seq };
        }
    }
}

/// What a replica that holds a record's scope at `held` needs of it.
fn catch_up_op(record: Record, held: Seq) -> WireOp {
    let Record { entity, id, rv, scope, entered, is_deleted, fields, versions } = record;
    if is_deleted {
        return WireOp::Del { entity, id, rv };
    }
    if entered > held || versions.created.seq() > held {
        return WireOp::Put { entity, id, rv, scope, fields };
    }
    let changed = versions.changed.iter().filter(|(_, version)| version.seq() > held);
    let value = |name: &Name| fields.get(name).cloned().unwrap_or(Value::Null);
    let fields = Arc::new(changed.map(|(name, _)| (name.clone(), value(name))).collect());
    WireOp::Patch { entity, id, rv, scope: None, fields }
}

/// Cuts ops into batch frames below the frame limit.
struct Frames {
    /// The oldest seq that a scope is held at.
    from: Option<Seq>,
    to: Seq,
    done: Vec<Vec<WireOp>>,
    ops: Vec<WireOp>,
    /// Of `ops`.
    bytes: usize,
    /// Of everything.
    total_bytes: usize,
    bytes_max: usize,
    digests: Vec<(ScopeId, Digest)>,
}

/// How far frames were filled at some moment: whole ones, ops of the last one, their bytes, all bytes.
#[derive(Clone, Copy)]
struct Mark(usize, usize, usize, usize);

impl Frames {
    fn new(to: Seq, bytes_max: usize) -> Self {
        Self {
            from: None,
            to,
            done: Vec::new(),
            ops: Vec::new(),
            bytes: 0,
            total_bytes: 0,
            bytes_max,
            digests: Vec::new(),
        }
    }

    /// False: it does not fit.
    fn push(&mut self, op: WireOp) -> StoreResult<bool> {
        let bytes = encoded_bytes(&op)? + 1;
        if self.total_bytes + bytes > self.bytes_max {
            return Ok(false);
        }
        if self.bytes + bytes > limits::FRAME_BYTES_MAX - FRAME_ENVELOPE_BYTES && !self.ops.is_empty() {
            self.done.push(std::mem::take(&mut self.ops));
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.total_bytes += bytes;
        self.ops.push(op);
        Ok(true)
    }

    fn mark(&self) -> Mark {
        Mark(self.done.len(), self.ops.len(), self.bytes, self.total_bytes)
    }

    /// Takes back everything pushed since a mark.
    fn back_to(&mut self, mark: Mark) {
        let Mark(done, ops, bytes, total_bytes) = mark;
        if self.done.len() > done {
            self.ops = std::mem::take(&mut self.done[done]);
            self.done.truncate(done);
        }
        self.ops.truncate(ops);
        (self.bytes, self.total_bytes) = (bytes, total_bytes);
    }

    /// Digests go with the last frame; so many scopes that they need their own get an empty one before.
    fn finish(mut self) -> Vec<Batch> {
        let Some(from) = self.from else { return Vec::new() };
        self.done.push(self.ops);
        let count = self.done.len();
        let to = self.to;
        let mut digests = Some(self.digests);
        let batch = |(index, ops): (usize, Vec<WireOp>)| {
            let more = index + 1 < count;
            let digests = if more { Vec::new() } else { digests.take().unwrap_or_default() };
            let changes = if ops.is_empty() { Vec::new() } else { vec![WireChange { by: None, ops }] };
            Batch { from, to, catch_up: true, more, changes, digests }
        };
        self.done.into_iter().enumerate().map(batch).collect()
    }
}

fn encoded_bytes(op: &WireOp) -> StoreResult<usize> {
    let encoded = serde_json::to_vec(op);
    encoded.map(|bytes| bytes.len()).map_err(|error| StoreError::Corrupt(format!("a record does not encode: {error}")))
}

/// A live batch for everybody with `grants` (spec BAT-1): what they may see of the entries in `(from, to]`.
/// `digests`: of every scope the entries touched, at `to`.
pub fn render_batch(
    entries: &[Arc<LogEntry>],
    digests: &BTreeMap<ScopeId, Digest>,
    grants: &Grants,
    (from, to): (Seq, Seq),
) -> Batch {
    let changes = entries.iter().filter_map(|entry| {
        let ops: Vec<WireOp> = entry.changes.iter().filter_map(|change| live_op(entry.seq, change, grants)).collect();
        (!ops.is_empty()).then_some(WireChange { by: Some((entry.client_id, entry.client_seq)), ops })
    });
    let visible = digests.iter().filter(|(scope, _)| grants.includes(scope));
    let digests = visible.map(|(scope, digest)| (scope.clone(), *digest)).collect();
    Batch { from, to, catch_up: false, more: false, changes: changes.collect(), digests }
}

/// One change as `grants` see it.
///
/// A record that moves into view needs its whole state, which a patch entry does not hold: such a change is rendered by
/// [`needs_whole`] having made the caller catch up instead.
fn live_op(seq: Seq, change: &Change, grants: &Grants) -> Option<WireOp> {
    let (entity, id) = (change.entity.clone(), change.id);
    let sees_after = grants.includes(&change.scope);
    let sees_before = change.left.as_ref().map_or(sees_after, |left| grants.includes(left));
    match (change.kind, sees_before, sees_after) {
        (_, false, false) => None,
        (ChangeKind::Del, _, true) => Some(WireOp::Del { entity, id, rv: seq }),
        (ChangeKind::Del, true, false) => Some(WireOp::Leave { entity, id }),
        (_, true, false) => Some(WireOp::Leave { entity, id }),
        (ChangeKind::Put, _, true) => {
            Some(WireOp::Put { entity, id, rv: seq, scope: change.scope.clone(), fields: change.fields.clone() })
        }
        (ChangeKind::Patch, _, true) => {
            let scope = change.left.is_some().then(|| change.scope.clone());
            Some(WireOp::Patch { entity, id, rv: seq, scope, fields: change.fields.clone() })
        }
    }
}

/// Whether a live batch of these entries cannot serve `grants`, because a record moved into view with a patch: the session
/// is caught up from the store instead, which sends the whole record (spec BAT-6).
pub fn needs_whole(entries: &[Arc<LogEntry>], grants: &Grants) -> bool {
    let moves_in = |change: &Change| {
        let came_from = change.left.as_ref().filter(|_| change.kind == ChangeKind::Patch);
        came_from.is_some_and(|left| !grants.includes(left) && grants.includes(&change.scope))
    };
    entries.iter().any(|entry| entry.changes.iter().any(moves_in))
}

/// Answers a `verify` (spec REP-1). Cost: one pass over the scope's rows.
pub fn verify(read: &dyn Read, scope: &ScopeId, ranges: &[Range]) -> StoreResult<VerifyReply> {
    let seq = read.head()?.seq;
    let rows = read.scope_rows(scope)?;
    let mut reply = VerifyReply { scope: scope.clone(), seq, split: Vec::new(), rows: Vec::new() };
    for range in ranges {
        let first = rows.partition_point(|(_, id, _)| *id < range.lo);
        let end = rows.partition_point(|(_, id, _)| *id <= range.hi);
        let within = &rows[first..end.max(first)];
        if digest_of(within) == range.digest {
            continue;
        }
        if within.len() as u64 <= limits::VERIFY_ROWS_MAX {
            reply.rows.push(RangeRows { lo: range.lo, hi: range.hi, rows: within.to_vec() });
        } else {
            reply.split.extend(split(within, range));
        }
    }
    Ok(reply)
}

fn digest_of(rows: &[(Name, RecordId, Seq)]) -> Digest {
    let mut digest = Digest::EMPTY;
    for (entity, id, rv) in rows {
        digest.add(entity, id, *rv);
    }
    digest
}

/// Cuts a range into sub-ranges of about equally many rows that together cover it exactly.
fn split(rows: &[(Name, RecordId, Seq)], range: &Range) -> Vec<Range> {
    let size = rows.len().div_ceil(limits::VERIFY_FANOUT);
    let mut ranges = Vec::with_capacity(limits::VERIFY_FANOUT);
    let mut lo = range.lo;
    let mut start = 0;
    while start < rows.len() {
        let mut end = (start + size).min(rows.len());
        // Records of different entities may share an id; a range never separates them.
        while end < rows.len() && rows[end].1 == rows[end - 1].1 {
            end += 1;
        }
        let hi = if end == rows.len() { range.hi } else { rows[end - 1].1 };
        ranges.push(Range { lo, hi, digest: digest_of(&rows[start..end]) });
        lo = RecordId(uuid::Uuid::from_u128(hi.0.as_u128().saturating_add(1)));
        start = end;
    }
    ranges
}

/// Answers a `fetch` (spec REP-3): the records that are live in the scope now, as many as fit into a frame.
pub fn fetch(read: &dyn Read, scope: &ScopeId, wanted: &[(Name, RecordId)]) -> StoreResult<ServerFrame> {
    let seq = read.head()?.seq;
    let mut records = Vec::with_capacity(wanted.len());
    let mut bytes = 0;
    let mut answered = 0;
    for (entity, id) in wanted {
        let record = read.record(entity, *id)?.filter(|record| !record.is_deleted && record.scope == *scope);
        if let Some(record) = record {
            let op = put_op(record);
            bytes += encoded_bytes(&op)? + 1;
            if bytes > limits::FRAME_BYTES_MAX - FRAME_ENVELOPE_BYTES && answered > 0 {
                break;
            }
            records.push(op);
        }
        answered += 1;
    }
    Ok(ServerFrame::Records { scope: scope.clone(), seq, answered, records })
}

fn put_op(record: Record) -> WireOp {
    let Record { entity, id, rv, scope, fields, .. } = record;
    WireOp::Put { entity, id, rv, scope, fields }
}

/// One page of a snapshot.
#[derive(Clone, PartialEq, Debug)]
pub struct SnapshotPage {
    pub rows: Vec<WireOp>,
    /// Token of the next page; `None` at the end.
    pub resume: Option<String>,
}

/// Reads the page of a scope's snapshot at `seq` that follows `resume` (spec SNP-2): by tier, within an entity by rv.
/// The token is `<entity>.<rv>`: the last row that was sent.
/// `None`: the token is not one of ours. Pages are independent reads, so no transaction stays open between them.
pub fn snapshot_page(
    schema: &Schema,
    read: &dyn Read,
    (scope, seq): (&ScopeId, Seq),
    resume: Option<&str>,
) -> StoreResult<Option<SnapshotPage>> {
    let order = snapshot_order(schema);
    let (mut position, mut after) = match resume {
        None => (0, 0),
        Some(token) => match parse_resume(&order, token) {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    let head = read.head()?.seq;
    let mut rows = Vec::new();
    while position < order.len() && rows.len() < limits::SNAPSHOT_PAGE_ROWS {
        let limit = limits::SNAPSHOT_PAGE_ROWS - rows.len();
        let entity = order[position].clone();
        // Also what changed after `seq`: a catch-up from there patches such a record, so the replica needs it whole before.
        let page = ChangedPage { scope: scope.clone(), entity, after, to: head.max(seq), live_only: true, limit };
        let records = read.changed(&page)?;
        if records.len() < limit {
            position += 1;
            after = 0;
        } else if let Some(last) = records.last() {
            after = last.rv;
        }
        rows.extend(records.into_iter().map(put_op));
    }
    let resume = (position < order.len()).then(|| format!("{}.{after}", order[position]));
    Ok(Some(SnapshotPage { rows, resume }))
}

fn parse_resume(order: &[Name], token: &str) -> Option<(usize, Seq)> {
    let (entity, after) = token.split_once('.')?;
    Some((order.iter().position(|name| name == entity)?, after.parse().ok()?))
}

/// Entities by tier, then by name: what is needed first comes first.
fn snapshot_order(schema: &Schema) -> Vec<Name> {
    let mut order: Vec<(Tier, Name)> = schema.entities.values().map(|e| (e.tier, e.name.clone())).collect();
    order.sort();
    order.into_iter().map(|(_, name)| name).collect()
}
