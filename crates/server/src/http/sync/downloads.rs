//! Snapshots that are being downloaded: each holds a page in memory, so they are bounded, for the node and for each user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use syncline_core::id::{UserId, WorkspaceId};

/// Downloads of a node.
const DOWNLOADS_MAX: usize = 64;
/// Downloads of one user, over all their devices and scopes.
const DOWNLOADS_PER_USER_MAX: usize = 4;

/// Who is downloading, and how often.
#[derive(Clone, Default)]
pub struct Downloads {
    by_user: Arc<Mutex<HashMap<Downloader, usize>>>,
}

type Downloader = (WorkspaceId, UserId);

/// A download under way; dropping it makes room for another.
pub struct Slot {
    downloads: Downloads,
    of: Downloader,
}

impl Downloads {
    /// `None`: the node has as many as it may, or the user.
    pub fn admit(&self, workspace_id: &WorkspaceId, user_id: UserId) -> Option<Slot> {
        let of = (workspace_id.clone(), user_id);
        let mut by_user = self.lock();
        let mine = by_user.get(&of).copied().unwrap_or(0);
        if mine >= DOWNLOADS_PER_USER_MAX || by_user.values().sum::<usize>() >= DOWNLOADS_MAX {
            return None;
        }
        by_user.insert(of.clone(), mine + 1);
        Some(Slot { downloads: self.clone(), of })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Downloader, usize>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut by_user = self.downloads.lock();
        let left = by_user.get(&self.of).map_or(0, |count| count - 1);
        if left == 0 {
            by_user.remove(&self.of);
        } else {
            by_user.insert(self.of.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syn_5_downloads_are_bounded_for_a_user_and_for_the_node() {
        let downloads = Downloads::default();
        let acme = WorkspaceId::new("acme").unwrap();
        let admit = |user: u128| downloads.admit(&acme, UserId::from_u128(user));
        let mut slots: Vec<_> = (0..DOWNLOADS_PER_USER_MAX).map(|_| admit(1).unwrap()).collect();
        assert!(admit(1).is_none());
        assert!(downloads.admit(&WorkspaceId::new("other").unwrap(), UserId::from_u128(1)).is_some());
        slots.pop();
        slots.push(admit(1).unwrap());
        slots.extend((2..).map_while(admit).take(2 * DOWNLOADS_MAX));
        assert_eq!(slots.len(), DOWNLOADS_MAX);
        drop(slots);
        assert!(admit(1).is_some() && downloads.lock().is_empty());
    }
}
