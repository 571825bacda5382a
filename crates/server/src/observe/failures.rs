//! Devices whose sync fails again and again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use syncline_core::TimestampMs;
use syncline_core::id::{DeviceId, WorkspaceId};

use super::metrics::Status;

/// Devices that are remembered; more are not counted until one of them has recovered.
const DEVICES_MAX: usize = 10_000;

/// A device that has not failed again for so long is forgotten: it may be elsewhere by now; milliseconds.
const FORGOTTEN_MS: u64 = 900_000;

/// Failures in a row by device. One that works is forgotten.
#[derive(Debug, Default)]
pub struct SyncFailures {
    by_device: Mutex<HashMap<(WorkspaceId, DeviceId), Failing>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failing {
    in_a_row: u32,
    last_ms: TimestampMs,
}

impl SyncFailures {
    /// How a sync operation of a device ended. What it did wrong itself neither counts nor clears.
    pub fn note(&self, workspace_id: &WorkspaceId, device_id: DeviceId, status: Status, now: TimestampMs) {
        let mut by_device = self.by_device.lock().unwrap_or_else(PoisonError::into_inner);
        let is_empty = by_device.is_empty();
        let key = (workspace_id.clone(), device_id);
        match status {
            Status::Ok if is_empty => {}
            Status::Ok => drop(by_device.remove(&key)),
            Status::Refused => {}
            Status::Failed if by_device.len() >= DEVICES_MAX && !by_device.contains_key(&key) => {}
            Status::Failed => {
                let failing = by_device.entry(key).or_default();
                *failing = Failing { in_a_row: failing.in_a_row + 1, last_ms: now };
            }
        }
    }

    /// Devices that failed at least `least` times in a row, with how often.
    pub fn in_a_row(&self, least: u32, now: TimestampMs) -> Vec<(WorkspaceId, DeviceId, u32)> {
        let mut by_device = self.by_device.lock().unwrap_or_else(PoisonError::into_inner);
        by_device.retain(|_, failing| now < failing.last_ms.saturating_add(FORGOTTEN_MS));
        let failing = by_device.iter().filter(|(_, failing)| failing.in_a_row >= least);
        failing.map(|((workspace, device), failing)| (workspace.clone(), *device, failing.in_a_row)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_6_only_failures_in_a_row_count() {
        let failures = SyncFailures::default();
        let (workspace, device) = (WorkspaceId::new("acme").unwrap(), DeviceId::from_u128(1));
        let note =
            |statuses: &[Status]| statuses.iter().for_each(|status| failures.note(&workspace, device, *status, 10));
        note(&[Status::Failed, Status::Failed, Status::Ok, Status::Failed, Status::Failed]);
        assert_eq!(failures.in_a_row(3, 10), []);
        note(&[Status::Refused, Status::Failed]);
        assert_eq!(failures.in_a_row(3, 10), [(workspace.clone(), device, 3)]);
        note(&[Status::Ok]);
        note(&[Status::Failed]);
        assert_eq!(failures.in_a_row(1, 11).len(), 1);
        assert_eq!(failures.in_a_row(1, 900_010), [], "forgotten");
        assert_eq!(failures.in_a_row(1, 10), []);
    }
}
