//! The second command of the README: everything that proves the project. Nothing is left out silently: a step that
//! cannot run on this machine says so and why.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{console, deploy, fuzz, services, shell, tidy};

/// Seeds the simulation replays: fixed, so that the same commit always gives the same answer.
const SIM_SEEDS: &str = "60";

/// Time of the round of requests from the OpenAPI document, and its seed.
const FUZZ_SECONDS: u32 = 60;
const FUZZ_SEED: u32 = 1;

/// Names the store that the server's tests and the stories run on; by default the embedded one.
const STORE: &str = "SYNCLINE_TEST_STORE";

/// What became of a step.
enum Done {
    Passed,
    /// It cannot run here; why, and what to do about it.
    Skipped(&'static str),
    /// Parts of it cannot; why.
    Partly(String),
}

struct Step {
    name: &'static str,
    run: fn() -> Result<Done>,
}

const STEPS: &[Step] = &[
    Step { name: "services", run: || services::Programs::find_or_install().map(|_| Done::Passed) },
    Step { name: "format", run: format },
    Step { name: "tidy", run: || tidy::report(&shell::root()).map(|()| Done::Passed) },
    Step { name: "deploy", run: deploy },
    // First of all that is built, because the server has it in its binary, and every build of that takes minutes.
    Step { name: "console's build", run: build_console },
    Step { name: "clippy", run: clippy },
    Step { name: "tests", run: tests },
    Step { name: "simulation", run: || simulate(&["--seeds", SIM_SEEDS]) },
    Step { name: "planted bugs", run: || simulate(&["--planted"]) },
    Step { name: "python example", run: python_example },
    Step { name: "sdk", run: sdk },
    Step { name: "extension", run: extension },
    Step { name: "console", run: console },
    Step { name: "fuzz-api", run: fuzz_api },
];

pub fn test() -> Result<()> {
    say_what_data_there_is();
    let mut lines = Vec::new();
    for step in STEPS {
        println!("\n=== {} ===", step.name);
        let started = now();
        let done = (step.run)().with_context(|| {
            let before = lines.join("\n");
            format!("the step `{}` failed; nothing after it was run, and before it:\n{before}\n", step.name)
        })?;
        let line = describe(step.name, &done, now().duration_since(started));
        println!("--- {line}");
        lines.push(line);
    }
    println!("\n{}\n\nAll {} steps are done.", lines.join("\n"), lines.len());
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one clock of this program; it times steps")]
fn now() -> Instant {
    Instant::now()
}

fn describe(name: &str, done: &Done, took: Duration) -> String {
    match done {
        Done::Passed => format!("{name}: passed in {:.1} s", took.as_secs_f64()),
        Done::Skipped(why) => format!("{name}: NOT RUN, {why}"),
        Done::Partly(why) => format!("{name}: passed in {:.1} s, but in part: {why}", took.as_secs_f64()),
    }
}

/// Real data sets lie beside the repository where somebody put them; tests that use them run without.
fn say_what_data_there_is() {
    let data = shell::root().join("../shared/data");
    match data.is_dir() {
        true => println!("real data sets: {}", data.display()),
        false => println!("real data sets: none at ../shared/data; tests use the small ones in the repository"),
    }
}

fn format() -> Result<Done> {
    if !shell::cargo(["fmt", "--version"]).works() {
        return Ok(Done::Skipped("rustfmt is not installed: `rustup component add rustfmt`"));
    }
    shell::cargo(["fmt", "--all", "--", "--check"]).run().context("`cargo fmt --all` puts this right")?;
    Ok(Done::Passed)
}

fn deploy() -> Result<Done> {
    let skipped = deploy::check()?;
    Ok(if skipped.is_empty() { Done::Passed } else { Done::Partly(skipped.join("; ")) })
}

fn clippy() -> Result<Done> {
    if !shell::cargo(["clippy", "--version"]).works() {
        return Ok(Done::Skipped("clippy is not installed: `rustup component add clippy`"));
    }
    shell::cargo(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]).run()?;
    Ok(Done::Passed)
}

/// With a PostgreSQL, a Redis and a Redis Cluster of their own, which end with this step: everything, and then the server's
/// tests and the stories once more on PostgreSQL.
fn tests() -> Result<Done> {
    let services = services::Services::start()?;
    let has_nextest = shell::cargo(["nextest", "--version"]).works();
    if !has_nextest {
        println!("cargo-nextest is not installed; `cargo test` runs the same tests");
    }
    let runner = || if has_nextest { shell::cargo(["nextest", "run"]) } else { shell::cargo(["test"]) };
    services.tell(runner().args(["--workspace"])).run()?;
    let again = match has_nextest {
        // Of the whole workspace, because a part of it would be built anew with other features of the dependencies.
        true => vec![runner().args([
            "--workspace",
            "-E",
            "binary_id(syncline-server::server) + binary_id(syncline-cli::scenario)",
        ])],
        false => vec![
            runner().args(["--package", "syncline-server", "--test", "server"]),
            runner().args(["--package", "syncline-cli", "--test", "scenario"]),
        ],
    };
    for tests in again {
        services.tell(tests.env(STORE, "postgres")).run().context("this was on PostgreSQL")?;
    }
    Ok(Done::Passed)
}

/// As it was built for the tests: an optimised build takes longer than it saves.
fn simulate(args: &[&str]) -> Result<Done> {
    shell::program(shell::built("debug", "syncline-sim")?.as_os_str()).args(args).run()?;
    Ok(Done::Passed)
}

fn build_console() -> Result<Done> {
    Ok(match console::build()? {
        console::Built::Done | console::Built::UpToDate => Done::Passed,
        console::Built::Skipped => Done::Skipped(console::NO_NODE),
    })
}

/// The server as it was built for the tests.
fn server() -> Result<PathBuf> {
    shell::built("debug", "syncline")
}

/// A client written from `spec/` alone against the server.
fn python_example() -> Result<Done> {
    if !shell::program("python3".as_ref()).args(["--version"]).works() {
        return Ok(Done::Skipped("python3 is not installed"));
    }
    let server = server()?;
    let test = shell::program("python3".as_ref()).args(["examples/python/test_client.py", "--server"]);
    test.args([server]).run()?;
    Ok(Done::Passed)
}

/// Why no TypeScript can be run here; `None`: it can.
fn node_is_missing() -> Option<Done> {
    (!console::has_node()).then_some(Done::Skipped(console::NO_NODE))
}

/// npm for the package in `folder`.
fn npm(folder: &str, task: &str) -> shell::Program {
    shell::program("npm".as_ref()).args(["--prefix", folder, task])
}

/// The TypeScript client: lint, types, its own tests, random histories against the server, its size.
fn sdk() -> Result<Done> {
    if let Some(missing) = node_is_missing() {
        return Ok(missing);
    }
    npm("packages/sdk", "ci").args(["--no-audit", "--no-fund"]).run()?;
    npm("packages/sdk", "run").args(["lint"]).run()?;
    let server = server()?;
    npm("packages/sdk", "test").env("SYNCLINE_BIN", &server.to_string_lossy()).run()?;
    Ok(Done::Passed)
}

/// What a step says that ran without a browser.
const NO_CHROMIUM: &str = "without the browser tests, because there is no Chromium and apt-get gave none";

/// The browser extension: lint, types, captures of pages, its build, and that build in a real browser against the server.
fn extension() -> Result<Done> {
    if let Some(missing) = node_is_missing() {
        return Ok(missing);
    }
    console::install("apps/extension")?;
    npm("apps/extension", "run").args(["lint"]).run()?;
    npm("apps/extension", "test").run()?;
    npm("apps/extension", "run").args(["build"]).run()?;
    let Some(browser) = services::chromium() else {
        return Ok(Done::Partly(NO_CHROMIUM.to_owned()));
    };
    let server = server()?;
    console::install("e2e")?;
    let test =
        shell::program("node".as_ref()).args(["--test", "--test-timeout=120000", "e2e/extension/extension.test.mjs"]);
    test.env("SYNCLINE_BIN", &server.to_string_lossy()).env("CHROMIUM", &browser.to_string_lossy()).run()?;
    Ok(Done::Passed)
}

/// The console: lint, types, its own tests, and the browser tests against a server that has its build in it.
fn console() -> Result<Done> {
    if let Some(missing) = node_is_missing() {
        return Ok(missing);
    }
    console::install("apps/console")?;
    console::npm("apps/console", ["run", "lint"]).run()?;
    console::npm("apps/console", ["run", "check"]).run()?;
    console::npm("apps/console", ["test"]).run()?;
    let Some(chromium) = services::chromium() else {
        return Ok(Done::Partly(NO_CHROMIUM.to_owned()));
    };
    let server = server()?;
    console::install("e2e")?;
    console::npm("e2e", ["run", "check"]).run()?;
    let test = console::npm("e2e", ["test", "--", "console"]).env("CHROMIUM", &chromium.to_string_lossy());
    test.env("SYNCLINE_BIN", &server.to_string_lossy()).run()?;
    Ok(Done::Passed)
}

/// Requests made from the server's own description: a short round, the same one every time.
fn fuzz_api() -> Result<Done> {
    Ok(match fuzz::fuzz(&server()?, FUZZ_SECONDS, FUZZ_SEED)? {
        fuzz::Fuzzed::Passed => Done::Passed,
        fuzz::Fuzzed::Skipped(why) => Done::Skipped(why),
    })
}
