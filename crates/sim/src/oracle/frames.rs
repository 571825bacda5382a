//! Everything that leaves the server, read by a second decoder against the grants committed at that moment.

use std::collections::BTreeSet;

use serde_json::Value;

use super::model::{Sees, number, text};
use super::{Checked, Oracle, fail};
use crate::counters::{Counter, Counters};
use crate::device::Device;

/// What a session was told that it may see.
#[derive(Debug, Default)]
pub struct Told {
    scopes: Option<Sees>,
    removed: BTreeSet<String>,
    is_cut_off: bool,
}

impl Oracle {
    /// A frame is about to be sent to a device.
    pub fn sent(&mut self, conn: u64, device: &Device, frame: &str, counters: &mut Counters) -> Checked {
        let frame: Value = serde_json::from_str(frame).expect("a frame is JSON");
        let user = device.user_id.to_string();
        let sees = self.model.sees(&user).filter(|_| !self.revoked.contains(&device.device_id.to_string()));
        let told = self.sessions.entry(conn).or_default();
        match text(&frame, "type").as_str() {
            "welcome" => {
                *told = Told { scopes: sees.clone(), ..Told::default() };
                for scope in frame["scopes"].as_array().into_iter().flatten() {
                    match text(&scope["plan"], "how").as_str() {
                        "catch_up" => counters.add(Counter::CatchUp),
                        "reconcile" => counters.add(Counter::Reconcile),
                        _ => {}
                    }
                    allowed(sees.as_ref(), &text(scope, "id"), "welcome")?;
                }
                Ok(())
            }
            "grant" => {
                let scope = text(&frame, "scope");
                if frame["action"] == "remove" {
                    counters.add(Counter::GrantRemoved);
                    told.removed.insert(scope);
                    return Ok(());
                }
                counters.add(Counter::GrantAdded);
                allowed(sees.as_ref(), &scope, "grant")
            }
            "purge" => {
                told.is_cut_off = true;
                Ok(())
            }
            "batch" => {
                self.knows_grants(conn, sees.as_ref())?;
                let changes = frame["changes"].as_array().into_iter().flatten();
                changes
                    .flat_map(|change| change["ops"].as_array().into_iter().flatten())
                    .try_for_each(|op| self.op(sees.as_ref(), op))?;
                let digests = frame["digests"].as_array().into_iter().flatten();
                digests
                    .map(|digest| digest[0].as_str().unwrap_or(""))
                    .try_for_each(|scope| allowed(sees.as_ref(), scope, "digest"))
            }
            "verify_reply" => {
                self.knows_grants(conn, sees.as_ref())?;
                allowed(sees.as_ref(), &text(&frame, "scope"), "verify_reply")
            }
            "records" => {
                self.knows_grants(conn, sees.as_ref())?;
                allowed(sees.as_ref(), &text(&frame, "scope"), "records")?;
                frame["records"].as_array().into_iter().flatten().try_for_each(|op| self.op(sees.as_ref(), op))
            }
            "outcomes" => self.outcomes_sent(device, &frame, counters),
            _ => Ok(()),
        }
    }

    /// Rows of a snapshot, over HTTP.
    pub fn snapshot_rows(&self, device: &Device, rows: &[syncline_core::protocol::WireOp]) -> Checked {
        let sees = self.model.sees(&device.user_id.to_string());
        for row in rows {
            self.op(sees.as_ref(), &serde_json::to_value(row).expect("a row encodes"))?;
        }
        Ok(())
    }

    /// Nothing but the removal may be sent after a scope was taken away (spec GRT-1).
    fn knows_grants(&mut self, conn: u64, sees: Option<&Sees>) -> Checked {
        let Some(told) = self.sessions.get_mut(&conn) else {
            return fail("revocation first", "data before the welcome");
        };
        let Some(sees) = sees.filter(|_| !told.is_cut_off) else {
            return fail("revocation first", "data for somebody whose access was withdrawn");
        };
        let held: Vec<&String> = match &told.scopes {
            Some(Sees::Only(scopes)) => scopes.iter().collect(),
            Some(Sees::All) if *sees == Sees::All => Vec::new(),
            Some(Sees::All) => self.model.sums.iter().filter(|(_, sum)| sum.0 > 0).map(|(scope, _)| scope).collect(),
            None => Vec::new(),
        };
        match held.into_iter().find(|scope| !sees.includes(scope) && !told.removed.contains(*scope)) {
            Some(scope) => fail("revocation first", format!("{scope} was taken away and the device was not told")),
            None => {
                // Scopes that come into being from now on were never shown under the former grants.
                if told.scopes == Some(Sees::All) {
                    told.scopes = Some(sees.clone());
                }
                Ok(())
            }
        }
    }

    fn op(&self, sees: Option<&Sees>, op: &Value) -> Checked {
        let key = (text(op, "entity"), text(op, "id"));
        let kind = text(op, "op");
        let rec = self.model.records.get(&key);
        if kind == "leave" {
            let was_visible =
                rec.is_some_and(|rec| rec.places.iter().any(|(_, scope)| sees.is_some_and(|s| s.includes(scope))));
            if !was_visible {
                return fail("permission on pull", format!("a leave of {key:?}, which was never visible"));
            }
            return Ok(());
        }
        let Some(rec) = rec else { return fail("permission on pull", format!("{key:?} does not exist")) };
        allowed(sees, rec.scope_at(number(op, "rv")), "record")?;
        if op["scope"].is_string() {
            allowed(sees, &text(op, "scope"), "record")?;
        }
        if number(op, "rv") > rec.rv {
            return fail("permission on pull", format!("{key:?} was sent at rv {}, it is {}", op["rv"], rec.rv));
        }
        Ok(())
    }

    fn outcomes_sent(&mut self, device: &Device, frame: &Value, counters: &mut Counters) -> Checked {
        let Some(client) = device.replica.as_ref().map(|replica| replica.meta().client_id.to_string()) else {
            return Ok(());
        };
        for outcome in frame["outcomes"].as_array().into_iter().flatten() {
            let key = (client.clone(), number(outcome, "client_seq"));
            match self.promised.get(&key) {
                Some(before) if before != outcome => {
                    return fail("outcome never changes", format!("{before} became {outcome}"));
                }
                Some(_) => counters.add(Counter::Duplicate),
                None => {}
            }
            let effect =
                outcome["outcome"] != "rejected" && self.model.by_mutation.contains_key(&text(outcome, "mutation_id"));
            let at = self.model.by_mutation.get(&text(outcome, "mutation_id")).copied();
            if outcome["outcome"] == "rejected" && at.is_some() {
                return fail("rejected has no effect", format!("{outcome} is in the log at {at:?}"));
            }
            if effect && at != Some(number(outcome, "seq")) {
                return fail("outcome names its effects", format!("{outcome} is in the log at {at:?}"));
            }
            self.promised.insert(key, outcome.clone());
        }
        Ok(())
    }
}

fn allowed(sees: Option<&Sees>, scope: &str, what: &str) -> Checked {
    match sees {
        Some(sees) if sees.includes(scope) => Ok(()),
        _ => fail("permission on pull", format!("a {what} of {scope} was sent to somebody who may not see it")),
    }
}
