//! Runs seeds, and campaigns against planted bugs.

use crate::counters::Counters;
use crate::oracle::Violation;
use crate::plant::Bug;
use crate::swarm::Swarm;
use crate::world::World;

/// What one seed came to.
#[derive(Debug)]
pub struct Outcome {
    pub violation: Option<Violation>,
    pub counters: Counters,
    pub trace_hash: u64,
    pub lines: Vec<String>,
}

/// Runs one world.
pub fn seed(seed: u64, bug: Option<Bug>, keeps_trace: bool) -> Outcome {
    let mut world = World::new(seed, Swarm::pick(seed), bug, keeps_trace);
    let violation = world.run().and_then(|()| clocks_do_not_matter(seed, &world)).err();
    let lines = world.trace.lines.take().unwrap_or_default();
    Outcome { violation, counters: world.counters, trace_hash: world.trace.hash(), lines }
}

/// Devices whose clocks are a year off end as devices whose clocks are right (spec CLK-1, CLK-2).
fn clocks_do_not_matter(seed: u64, world: &World) -> Result<(), Violation> {
    if !world.swarm.is_calm() || !world.swarm.has_skew || world.bug.is_some() {
        return Ok(());
    }
    let mut twin = World::new(seed, Swarm { applies_skew: false, ..world.swarm.clone() }, None, false);
    twin.run()?;
    match twin.oracle.ends_as(&world.oracle) {
        true => Ok(()),
        false => Err(Violation::new("clock influence", "with right clocks the same edits end otherwise")),
    }
}

/// Where a planted bug was found, and by which check.
#[derive(Debug)]
pub struct Found {
    pub bug: Bug,
    pub after: Option<(u64, &'static str)>,
}

/// Looks for a planted bug in seeds from `from` on.
pub fn hunt(bug: Bug, from: u64, seeds: u64) -> Found {
    let after = (from..from + seeds).zip(1..).find_map(|(number, tried)| {
        let violation = seed(number, Some(bug), false).violation?;
        Some((tried, violation.check))
    });
    Found { bug, after }
}

/// Seeds that once found a bug, with what it was; replayed before all others.
pub const REGRESSIONS: &[(u64, &str)] = &[
    (36, "a record changed after a snapshot's seq was patched by the catch-up without having been in the snapshot"),
    (79, "the same, met by a repair that was cut"),
    (151, "a purge waited for effects of decided mutations, which do not come any more"),
    (191, "a snapshot row took a record out of a scope whose checkpoint still held it"),
    (611, "a patch raised the rv of an old row while its scope was compared, which hid what it lacked"),
    (897, "the same after a restore"),
    (503, "an edit without fields met a deletion and opened a conflict about nothing"),
    (962, "a patch moved an old row out of a scope that was loading"),
    (2430, "a record left a scope and was deleted in another one, which was resumed"),
    (3296, "a session called itself quiet while a repair was due"),
    (4630, "a deposit and a restored server asked each other for ever"),
    (9115, "the same"),
    (6478, "live changes took a row back that a download had read later, behind a comparison's back"),
    (9731, "the same"),
    (17912, "a snapshot row did not move a record out of the scope it had left"),
    (18975, "a scope that came into being with a patch of an unknown record was never asked for"),
    (407_938, "a push of before a restore was replayed after it, outside any session"),
    (413_485, "the walk to what an author had seen went on behind their own restore, into a compacted log"),
    (34005, "a row that was patched while loading kept its rv, which hid what a restore took back"),
];
