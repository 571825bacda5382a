//! Things that must happen sometimes: a core that refuses everything keeps every safety invariant.

macro_rules! counters {
    ($($variant:ident = $name:literal;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Counter { $($variant,)* }

        impl Counter {
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];
            pub fn name(self) -> &'static str {
                match self { $(Counter::$variant => $name,)* }
            }
        }
    };
}

counters! {
    Edited = "edits accepted by a device";
    Applied = "outcome applied";
    Merged = "outcome merged";
    Superseded = "outcome superseded";
    InReview = "outcome in_review";
    Rejected = "outcome rejected";
    Predicted = "merges predicted by the model";
    ConflictOpen = "conflicts opened";
    ConflictAuto = "conflicts resolved automatically";
    Connected = "connections";
    Cut = "connections cut";
    HalfOpen = "connections half open";
    Partitioned = "partitions";
    Replayed = "old pushes replayed";
    Duplicate = "outcomes sent again";
    Impostor = "pushes under another's client id";
    SlowedDown = "pushes put off";
    Stuck = "sessions dropped by the watchdog";
    DiskFull = "device writes refused for space";
    DeviceCrashed = "device crashes";
    ServerCrashed = "server crashes";
    CrashBeforeReply = "crashes after a commit, before its replies";
    TornWrite = "torn journal writes";
    UnsyncedLost = "unsynced commits lost";
    CatchUp = "catch-ups";
    Reconcile = "reconciles planned";
    SnapshotPage = "snapshot pages";
    SnapshotResumed = "snapshots resumed";
    Compacted = "compactions";
    CompactedBetweenPages = "compactions between snapshot pages";
    Restored = "restores of a backup";
    SchemaChanged = "schema changes";
    AccessChanged = "access changes";
    GrantRemoved = "scopes taken away";
    GrantAdded = "scopes granted";
    Left = "records that left a view";
    DeviceRevoked = "devices revoked";
    MemberRevoked = "members revoked";
    Deposited = "mutations deposited";
    Purged = "replicas purged";
    Drained = "drains";
    Repaired = "repairs by range";
}

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    counts: std::collections::BTreeMap<Counter, u64>,
    pub worlds: u64,
}

impl Counters {
    pub fn add(&mut self, counter: Counter) {
        *self.counts.entry(counter).or_default() += 1;
    }
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts.get(&counter).copied().unwrap_or(0)
    }
    pub fn merge(&mut self, other: &Self) {
        for (counter, count) in &other.counts {
            *self.counts.entry(*counter).or_default() += count;
        }
        self.worlds += other.worlds;
    }
    /// What should have happened and never did; repairs and stuck sessions should not.
    pub fn missing(&self) -> Vec<Counter> {
        let is_optional = |counter: &Counter| matches!(counter, Counter::Repaired | Counter::Stuck);
        let all = Counter::ALL.iter().filter(|counter| !is_optional(counter));
        all.filter(|counter| self.get(**counter) == 0).copied().collect()
    }
}
