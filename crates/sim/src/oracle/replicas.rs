//! Replicas as the oracle sees them between frames: checkpoints are whole, purges are complete, pairs keep their sum.

use std::collections::BTreeSet;

use serde_json::Value;
use syncline_core::id::MutationId;
use syncline_core::protocol::{GrantAction, ServerFrame};
use syncline_core::replica::{Query, ReplicaStore};

use super::model::{Sum, row_hash};
use super::{Accepted, Checked, Oracle, fail};
use crate::device::Device;
use crate::genesis::ACCOUNT_IDS;
use crate::schema::{ACCOUNTS, BALANCE_SUM};

/// What is known of one device's replica.
#[derive(Debug, Default)]
pub struct Watched {
    /// Scopes that were loaded and not caught up since: their rows may be of different seqs.
    unsettled: BTreeSet<String>,
    /// `to` of the catch-up frame being delivered, if it is the last.
    completes: Option<u64>,
    removed: Option<String>,
    /// A record moved from a scope that was still loading into one that was not: the device had to ask for it (REP-1),
    /// and until then its checkpoints are not whole.
    has_hole: bool,
}

impl Oracle {
    pub fn accepted(&mut self, device: usize, mutation_id: MutationId, of: &Device) -> Checked {
        let client = of.replica.as_ref().map(|replica| replica.meta().client_id.to_string()).unwrap_or_default();
        self.accepted.insert(mutation_id.to_string(), Accepted { device, client });
        self.sums_hold(device, of)
    }

    /// A digest differed: with a correct server and device that happens only while something is loading.
    pub fn repairing(&mut self, device: usize, scope: &str) -> Checked {
        let watched = self.replicas.entry(device).or_default();
        if watched.has_hole || !watched.unsettled.is_empty() {
            watched.has_hole = true;
            return Ok(());
        }
        fail("digest", format!("device {device} found {scope} to differ from the server"))
    }

    pub fn delivering(&mut self, device: usize, frame: &ServerFrame) {
        let watched = self.replicas.entry(device).or_default();
        watched.completes = None;
        watched.removed = None;
        match frame {
            ServerFrame::Batch(batch) if batch.catch_up && !batch.more => watched.completes = Some(batch.to),
            ServerFrame::Grant { scope, action: GrantAction::Remove, .. } => {
                watched.removed = Some(scope.as_str().to_owned());
            }
            _ => {}
        }
    }

    /// A frame was taken in.
    pub fn delivered(&mut self, index: usize, device: &Device) -> Checked {
        let Some(replica) = &device.replica else { return Ok(()) };
        let scopes = replica.store().scopes().unwrap_or_default();
        let cursor = replica.meta().cursor;
        let watched = self.replicas.entry(index).or_default();
        if let Some(scope) = watched.removed.take() {
            let scope =
                syncline_core::id::ScopeId::try_from(smol_str::SmolStr::new(scope)).expect("the server's scope");
            let is_empty = replica.store().base_rows(&scope).unwrap_or_default().is_empty();
            if device.session.is_live() && !is_empty {
                return fail("purge on revoke", format!("device {index} still holds rows of {scope}"));
            }
        }
        if watched.completes.is_some_and(|to| to == cursor) {
            watched.unsettled.clear();
        }
        let loading = scopes.iter().filter(|(_, state)| state.loading.is_some());
        watched.unsettled.extend(loading.map(|(scope, _)| scope.as_str().to_owned()));
        self.is_whole(index, device)?;
        self.sums_hold(index, device)
    }

    /// Every settled scope is the server's at the replica's cursor, row for row (invariant 5).
    fn is_whole(&self, index: usize, device: &Device) -> Checked {
        let Some(replica) = &device.replica else { return Ok(()) };
        let cursor = replica.meta().cursor;
        let Some(then) = self.model.history.get(&cursor) else { return Ok(()) };
        // A record that moved between a scope that is loading and one that is not is in neither for a while.
        if self.replicas.get(&index).is_some_and(|watched| watched.has_hole || !watched.unsettled.is_empty()) {
            return Ok(());
        }
        let unsettled = self.replicas.get(&index).map(|watched| &watched.unsettled);
        for (scope, state) in replica.store().scopes().unwrap_or_default() {
            let is_settled = unsettled.is_none_or(|unsettled| !unsettled.contains(scope.as_str()));
            if state.loading.is_some() || state.seq != cursor || !is_settled {
                continue;
            }
            let mut sum: Sum = (0, 0);
            for (id, entity, rv) in replica.store().base_rows(&scope).unwrap_or_default() {
                sum = (sum.0 + 1, sum.1.wrapping_add(row_hash(&entity, &id.to_string(), rv)));
            }
            let theirs = then.get(scope.as_str()).copied().unwrap_or((0, 0));
            if sum != theirs {
                let detail =
                    format!("device {index} at {cursor}: {scope} has {} rows, the server had {}", sum.0, theirs.0);
                return fail("checkpoint is whole", detail);
            }
        }
        Ok(())
    }

    /// What moves between accounts is never seen half way (invariant: atomic mutations).
    fn sums_hold(&self, index: usize, device: &Device) -> Checked {
        let Some(replica) = &device.replica else { return Ok(()) };
        let scope = syncline_core::id::ScopeId::WORKSPACE;
        let scopes = replica.store().scopes().unwrap_or_default();
        let is_settled = self
            .replicas
            .get(&index)
            .is_none_or(|watched| !watched.has_hole && !watched.unsettled.contains("workspace"));
        let is_held = scopes.get(&scope).is_some_and(|state| state.loading.is_none() && state.seq > 0);
        if !is_held || !is_settled {
            return Ok(());
        }
        let rows = replica.query(&Query { entity: ACCOUNTS.into(), ..Query::default() }).unwrap_or_default();
        let shown: i64 = rows
            .iter()
            .filter(|row| ACCOUNT_IDS.contains(&row.id))
            .filter_map(|row| row.fields.get("balance").and_then(Value::as_i64))
            .sum();
        let base = replica.store().base_scan(ACCOUNTS, None, 100).unwrap_or_default();
        let held: i64 = base.iter().filter_map(|row| row.fields.get("balance").and_then(Value::as_i64)).sum();
        if (shown, held) != (BALANCE_SUM, BALANCE_SUM) {
            let detail = format!("device {index} at {} shows {shown} and holds {held}", replica.meta().cursor);
            return fail("atomic pairs", detail);
        }
        Ok(())
    }

    /// Nothing is left of a purged replica (spec REV-2).
    pub fn purged(&self, device: &Device) -> Checked {
        let Some(replica) = &device.replica else { return Ok(()) };
        let store = replica.store();
        let scopes = store.scopes().unwrap_or_default();
        let counts = [
            scopes.len(),
            store.outbox(0, 10).unwrap_or_default().len(),
            store.rejected().unwrap_or_default().len(),
            store.acknowledged(0).unwrap_or_default().len(),
        ];
        let rows = replica.schema().entities.keys().map(|name| store.base_count(name).unwrap_or(0)).sum::<u64>();
        if counts.iter().any(|count| *count > 0) || rows > 0 {
            return fail("purge", format!("a purged replica holds {counts:?} and {rows} rows"));
        }
        Ok(())
    }

    /// A device starts again: nothing its person was told is saved may be missing (spec VEW-5).
    pub fn device_recovered(&mut self, index: usize, device: &Device) -> Checked {
        let Some(replica) = &device.replica else { return Ok(()) };
        let store = replica.store();
        let mut kept: BTreeSet<String> = BTreeSet::new();
        let pending = store.outbox(0, usize::MAX).unwrap_or_default();
        kept.extend(pending.iter().map(|pending| pending.mutation.mutation_id.to_string()));
        let acknowledged = store.acknowledged(0).unwrap_or_default();
        kept.extend(acknowledged.iter().map(|pending| pending.mutation.mutation_id.to_string()));
        let rejected = store.rejected().unwrap_or_default();
        kept.extend(rejected.iter().map(|rejected| rejected.mutation.mutation_id.to_string()));
        let client = replica.meta().client_id.to_string();
        let maybe: Vec<String> = self.maybe.keys().filter(|id| kept.contains(*id)).cloned().collect();
        for id in maybe {
            self.maybe.remove(&id);
            self.accepted.insert(id, Accepted { device: index, client: client.clone() });
        }
        let was_wiped = replica.meta().backend_id.is_none() && kept.is_empty();
        let own = self.accepted.iter().filter(|(_, accepted)| accepted.device == index && accepted.client == client);
        if let Some((id, _)) = own.filter(|_| !device.is_out() && !was_wiped).find(|(id, _)| !kept.contains(*id)) {
            return fail("outbox is durable", format!("device {index} lost mutation {id}"));
        }
        self.is_whole(index, device)
    }
}
