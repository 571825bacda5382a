//! What comes again and again is noted once in a while, with how often it was: a console that asks every second, a program
//! that does not take no for an answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use syncline_core::TimestampMs;
use syncline_core::id::{UserId, WorkspaceId};

use super::event::{AuditEvent, AuditRecord};

/// Things that are remembered. Beyond, all are forgotten and noted anew.
const KEYS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Repeats {
    noted: Mutex<HashMap<Key, Noted>>,
}

type Key = (Option<WorkspaceId>, Option<UserId>, AuditEvent, Option<String>);

struct Noted {
    at_ms: TimestampMs,
    left_out: u64,
}

impl Repeats {
    /// Whether to note the record, with how often it was left out before; `None`: leave it out.
    pub(super) fn admit(&self, record: &AuditRecord, now: TimestampMs) -> Option<u64> {
        let every_ms = record.event.repeats_ms();
        if every_ms == 0 {
            return Some(0);
        }
        let key = (record.workspace_id.clone(), record.user_id, record.event, record.subject.clone());
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= KEYS_MAX && !noted.contains_key(&key) {
            noted.clear();
        }
        if let Some(known) = noted.get_mut(&key)
            && now < known.at_ms.saturating_add(every_ms)
        {
            known.left_out += 1;
            return None;
        }
        let former = noted.insert(key, Noted { at_ms: now, left_out: 0 });
        Some(former.map_or(0, |former| former.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_6_what_comes_again_is_noted_with_how_often() {
        let repeats = Repeats::default();
        let denied = AuditRecord::of_server(AuditEvent::AccessDenied).about("GET /x");
        assert_eq!(repeats.admit(&denied, 0), Some(0));
        assert_eq!((repeats.admit(&denied, 10), repeats.admit(&denied, 59_999)), (None, None));
        assert_eq!(repeats.admit(&denied.clone().about("GET /y"), 20), Some(0), "something else");
        assert_eq!(repeats.admit(&denied, 60_000), Some(2));
        let failed = AuditRecord::of_server(AuditEvent::SignInFailed);
        assert_eq!((repeats.admit(&failed, 0), repeats.admit(&failed, 0)), (Some(0), Some(0)), "each of these counts");
        for n in 0..2 * KEYS_MAX {
            repeats.admit(&denied.clone().about(n), 0);
        }
        assert!(repeats.noted.lock().unwrap().len() <= KEYS_MAX);
    }
}
