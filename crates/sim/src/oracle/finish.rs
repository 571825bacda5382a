//! When everything is quiet: all replicas equal what their people may see, and every edit has its outcome.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use syncline_core::replica::ReplicaStore;

use super::model::{Key, Rec, Sees, text};
use super::{Checked, Oracle, fail};
use crate::device::Device;
use crate::server::Server;

impl Oracle {
    pub fn finish(&self, server: &Server, devices: &[Device]) -> Checked {
        self.server_is_the_log(server)?;
        self.every_edit_ended(devices)?;
        for (index, device) in devices.iter().enumerate().filter(|(_, device)| !device.is_out()) {
            self.replica_is_the_view(index, device)?;
        }
        Ok(())
    }

    /// The server's records are what its log says (spec ID-5, AUD-1).
    fn server_is_the_log(&self, server: &Server) -> Checked {
        let mut live = 0;
        for entity in server.schema.entities.keys() {
            for record in server.read(|read| read.scan(entity, None, usize::MAX)) {
                live += 1;
                let key = (entity.to_string(), record.id.to_string());
                let rec = self.model.records.get(&key).filter(|rec| rec.is_live);
                let fields = serde_json::to_value(&record.fields).expect("fields encode");
                let is_equal = rec.is_some_and(|rec| {
                    rec.rv == record.rv && rec.scope == record.scope.as_str() && same(&rec.fields, &fields)
                });
                if !is_equal {
                    return fail("the log is the state", format!("{key:?}: {record:?} against {rec:?}"));
                }
            }
        }
        let expected = self.model.records.values().filter(|rec| rec.is_live).count();
        if live != expected {
            return fail("the log is the state", format!("{live} records, the log says {expected}"));
        }
        Ok(())
    }

    /// Invariant 4: exactly one outcome each, and rejected edits are kept where their person finds them.
    fn every_edit_ended(&self, devices: &[Device]) -> Checked {
        let mut decided: BTreeMap<String, &Value> = BTreeMap::new();
        for outcome in self.model.outcomes.values() {
            decided.insert(text(outcome, "mutation_id"), outcome);
        }
        for (id, accepted) in &self.accepted {
            let device = &devices[accepted.device];
            if device.is_out() {
                continue;
            }
            let Some(outcome) = decided.get(id) else {
                // Decided under a former client id in an epoch that is gone: the restore took it (spec EPO-3).
                let client = device.replica.as_ref().map(|replica| replica.meta().client_id.to_string());
                if self.has_restored && client.as_ref() != Some(&accepted.client) {
                    continue;
                }
                return fail("every edit ends", format!("mutation {id} of device {} has no outcome", accepted.device));
            };
            let Some(replica) = &device.replica else { continue };
            let rejected = replica.store().rejected().unwrap_or_default();
            let is_listed = rejected.iter().any(|rejected| rejected.mutation.mutation_id.to_string() == *id);
            let is_rejected = outcome["outcome"] == "rejected";
            if is_rejected && !is_listed {
                return fail("rejected edits are kept", format!("{outcome} is not on the device's list"));
            }
            if !is_rejected && is_listed && !self.has_restored {
                return fail("rejected edits are kept", format!("{outcome} is on the device's list of rejected ones"));
            }
        }
        Ok(())
    }

    /// Invariant 6.
    fn replica_is_the_view(&self, index: usize, device: &Device) -> Checked {
        let Some(replica) = &device.replica else { return Ok(()) };
        let sees = self.model.sees(&device.user_id.to_string()).unwrap_or(Sees::Only(BTreeSet::new()));
        let visible: BTreeMap<&Key, &Rec> =
            self.model.records.iter().filter(|(_, rec)| rec.is_live && sees.includes(&rec.scope)).collect();
        let mut held = 0;
        for entity in replica.schema().entities.keys() {
            for record in replica.store().base_scan(entity, None, usize::MAX).unwrap_or_default() {
                held += 1;
                let key = (entity.to_string(), record.id.to_string());
                let rec = visible.get(&key);
                let fields = serde_json::to_value(&record.fields).expect("fields encode");
                let is_equal = rec.is_some_and(|rec| {
                    rec.rv == record.rv && rec.scope == record.scope.as_str() && same(&rec.fields, &fields)
                });
                if !is_equal {
                    let detail = format!("device {index} has {record:?}; the server's is {rec:?}");
                    return fail("replicas converge", detail);
                }
            }
        }
        if held != visible.len() {
            return fail("replicas converge", format!("device {index} has {held} records of {}", visible.len()));
        }
        Ok(())
    }
}

fn same(ours: &BTreeMap<String, Value>, fields: &Value) -> bool {
    let members = fields.as_object();
    members.is_some_and(|members| {
        members.len() == ours.len() && members.iter().all(|(name, value)| ours.get(name) == Some(value))
    })
}
