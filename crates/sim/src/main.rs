//! `syncline-sim`: looks for broken promises in random worlds.

use clap::Parser;
use syncline_sim::counters::{Counter, Counters};
use syncline_sim::plant::Bug;
use syncline_sim::run;

#[derive(Parser)]
#[command(about = "Deterministic simulation of a server, its devices, disks, clocks and network")]
struct Options {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// First seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// With --seed: print every event.
    #[arg(long)]
    trace: bool,
    /// Look for every planted bug, in up to --seeds seeds each.
    #[arg(long)]
    planted: bool,
    /// Only this planted bug.
    #[arg(long)]
    bug: Option<String>,
    /// Go on after a violation.
    #[arg(long)]
    keep_going: bool,
    /// Print a summary as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> std::process::ExitCode {
    let options = Options::parse();
    let is_good = match (options.seed, options.planted) {
        (Some(seed), _) => one(seed, &options),
        (None, true) => planted(&options),
        (None, false) => many(&options),
    };
    if is_good { std::process::ExitCode::SUCCESS } else { std::process::ExitCode::FAILURE }
}

fn bug_of(options: &Options) -> Option<Bug> {
    let name = options.bug.as_deref()?;
    Bug::ALL.iter().find(|bug| bug.name() == name).copied()
}

fn one(seed: u64, options: &Options) -> bool {
    let outcome = run::seed(seed, bug_of(options), options.trace);
    outcome.lines.iter().for_each(|line| println!("{line}"));
    match outcome.violation {
        Some(violation) => println!("seed {seed}: {}\n{}", violation.check, violation.detail),
        None => {
            println!("seed {seed}: all promises kept, trace {:016x}", outcome.trace_hash);
            return true;
        }
    }
    false
}

/// The only clock of this program: it says how fast the seeds ran.
#[allow(clippy::disallowed_methods, reason = "reported to the person, never used by a world")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

fn many(options: &Options) -> bool {
    let start = clock();
    let mut total = Counters::default();
    let mut broken = Vec::new();
    let regressions = run::REGRESSIONS.iter().map(|(seed, _)| *seed);
    let fresh = options.from..options.from + options.seeds;
    for seed in regressions.chain(fresh) {
        let outcome = run::seed(seed, bug_of(options), false);
        total.merge(&outcome.counters);
        if let Some(violation) = outcome.violation {
            let detail: String = violation.detail.chars().take(600).collect();
            println!("seed {seed}: {}\n  {detail}", violation.check);
            broken.push((seed, violation.check));
            if !options.keep_going {
                break;
            }
        } else if seed % 100 == 0 && run::seed(seed, bug_of(options), false).trace_hash != outcome.trace_hash {
            println!("seed {seed}: two runs differ");
            broken.push((seed, "determinism"));
        }
    }
    let minutes = start.elapsed().as_secs_f64() / 60.0;
    let rate = (total.worlds as f64 / minutes.max(1e-9)) as u64;
    let missing = if options.seeds >= 500 && broken.is_empty() { total.missing() } else { Vec::new() };
    if options.json {
        let counts: std::collections::BTreeMap<&str, u64> =
            Counter::ALL.iter().map(|counter| (counter.name(), total.get(*counter))).collect();
        let names: Vec<&str> = missing.iter().map(|counter| counter.name()).collect();
        let summary = serde_json::json!({"worlds": total.worlds, "seeds_per_minute": rate, "broken": broken,
            "never_happened": names, "counters": counts});
        println!("{summary}");
    } else {
        for counter in Counter::ALL {
            println!("{:>9}  {}", total.get(*counter), counter.name());
        }
        println!("{} worlds kept every promise, {} did not; {rate} seeds per minute", total.worlds, broken.len());
    }
    missing.iter().for_each(|counter| println!("never happened: {}", counter.name()));
    broken.is_empty() && missing.is_empty()
}

fn planted(options: &Options) -> bool {
    let only = bug_of(options);
    let mut missed = 0;
    for bug in Bug::ALL.iter().filter(|bug| only.is_none_or(|only| only == **bug)) {
        let found = run::hunt(*bug, options.from, options.seeds);
        match found.after {
            Some((seeds, check)) => println!("{:<40} found in seed {seeds:>5} by: {check}", bug.name()),
            None => {
                missed += 1;
                println!("{:<40} MISSED in {} seeds", bug.name(), options.seeds);
            }
        }
    }
    println!("{} of {} planted bugs found", Bug::ALL.len() - missed, Bug::ALL.len());
    missed == 0
}
