//! The simulator under `cargo test`: regressions, a bounded number of seeds, determinism, and that it notices bugs.

use syncline_sim::plant::Bug;
use syncline_sim::run;

#[test]
fn regressions_stay_fixed() {
    for (seed, what) in run::REGRESSIONS {
        let outcome = run::seed(*seed, None, false);
        assert!(outcome.violation.is_none(), "seed {seed} ({what}): {:?}", outcome.violation);
    }
}

#[test]
fn every_promise_is_kept_in_fixed_seeds() {
    for seed in 1_000_000..1_000_200 {
        let outcome = run::seed(seed, None, false);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 2_000..2_020 {
        let (first, second) = (run::seed(seed, None, false), run::seed(seed, None, true));
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
    }
}

/// Bugs that show within few seeds; the whole list is `syncline-sim --planted`.
#[test]
fn planted_bugs_are_noticed() {
    let bugs = [
        Bug::NoPermissionOnPull,
        Bug::BaseIgnored,
        Bug::ConflictDropped,
        Bug::AuditNotChained,
        Bug::DigestWrongColumns,
        Bug::MutationSplit,
        Bug::CatchUpByFrames,
        Bug::NoDedupe,
        Bug::AckBeforeFsync,
        Bug::OutboxClearedOnSend,
    ];
    for bug in bugs {
        assert!(run::hunt(bug, 1, 500).after.is_some(), "`{}` was not noticed", bug.name());
    }
}
