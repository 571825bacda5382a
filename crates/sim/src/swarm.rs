//! What a seed is about: how big the world is, and which faults it suffers (swarm testing: each is off, light or heavy).

use crate::rng::Rng;

/// Chance of each fault, per mille per step of the world; 0: off.
#[derive(Clone, Debug)]
pub struct Swarm {
    pub devices: usize,
    pub ops: u64,
    /// Pause between two edits, at most; milliseconds.
    pub pause_ms: u64,
    /// Longest delay of a frame; milliseconds.
    pub delay_ms: u64,
    pub cut: u64,
    pub half_open: u64,
    pub partition: u64,
    pub replay: u64,
    pub server_crash: u64,
    /// Chance that a commit is interrupted at one of its steps.
    pub commit_crash: u64,
    pub fsync_failure: u64,
    pub client_crash: u64,
    pub disk_full: u64,
    pub access: u64,
    pub revoke: u64,
    pub restore: u64,
    pub compact: u64,
    pub drain: u64,
    pub schema: u64,
    /// Chance that a wall clock jumps.
    pub clock_jump: u64,
    /// Whether wall clocks are off by up to a year and drift.
    pub has_skew: bool,
    /// Off in the twin of a calm world, which must end the same.
    pub applies_skew: bool,
    /// Live records of a scope above which a new replica is sent a snapshot.
    pub snapshot_above: u64,
    pub snapshot_page: usize,
    /// Few records and fields, so that edits meet.
    pub is_contended: bool,
}

impl Swarm {
    pub fn pick(seed: u64) -> Self {
        let mut rng = Rng::new(seed, "swarm");
        // A quarter of the seeds has no fault at all: plain concurrency, and the twins with other clocks.
        let calm = rng.chance(250);
        let mut level = |light: u64, heavy: u64| match rng.below(3) {
            _ if calm => 0,
            0 => 0,
            1 => light,
            _ => heavy,
        };
        let (cut, half_open, partition, replay) = (level(15, 80), level(8, 40), level(5, 30), level(30, 150));
        let (server_crash, commit_crash, fsync_failure) = (level(5, 30), level(15, 80), level(5, 30));
        let (client_crash, disk_full) = (level(10, 60), level(5, 30));
        let (access, revoke, restore, compact) = (level(30, 120), level(4, 20), level(5, 25), level(15, 60));
        let (drain, schema, clock_jump) = (level(5, 25), level(5, 20), level(10, 60));
        let is_small = rng.chance(350);
        Self {
            devices: usize::try_from(rng.between(2, 4)).unwrap_or(2),
            ops: if is_small { rng.between(1, 6) } else { rng.between(7, 45) },
            pause_ms: *rng.pick(&[50, 500, 3_000, 20_000]).expect("not empty"),
            delay_ms: *rng.pick(&[5, 100, 1_000, 8_000]).expect("not empty"),
            cut,
            half_open,
            partition,
            replay,
            server_crash,
            commit_crash,
            fsync_failure,
            client_crash,
            disk_full,
            access,
            revoke,
            restore,
            compact,
            drain,
            schema,
            clock_jump,
            has_skew: rng.chance(600),
            applies_skew: true,
            snapshot_above: *rng.pick(&[2, 6, 1_000]).expect("not empty"),
            snapshot_page: usize::try_from(rng.between(1, 4)).unwrap_or(1),
            is_contended: rng.chance(600),
        }
    }

    /// Whether the seed is free of anything that could depend on a clock or an accident.
    pub fn is_calm(&self) -> bool {
        let faults = [
            self.cut,
            self.half_open,
            self.partition,
            self.replay,
            self.server_crash,
            self.commit_crash,
            self.client_crash,
            self.disk_full,
            self.access,
            self.revoke,
            self.restore,
            self.compact,
            self.drain,
            self.schema,
            self.clock_jump,
            self.fsync_failure,
        ];
        faults.iter().all(|chance| *chance == 0)
    }
}
