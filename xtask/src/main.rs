//! `cargo xtask`: everything a person does with the repository that is more than one cargo command.

mod console;
mod deploy;
mod fuzz;
mod proof;
mod run;
mod services;
mod shell;
mod tidy;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Run, prove and measure Syncline", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build the console, the extension and the server and start it with demo data; it prints how to sign in
    Run {
        /// Where the server keeps its files
        #[arg(long, default_value = "./data")]
        data: PathBuf,
        /// Address and port to listen on
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: String,
        /// Build without optimisation: starts sooner, runs slower
        #[arg(long)]
        dev: bool,
    },
    /// Everything that proves the project, in order; stops at the first failure
    Test,
    /// A command with a PostgreSQL, a Redis and a Redis Cluster of its own, named in its environment as for the tests
    Services {
        /// For example `cargo nextest run -p syncline-server`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        command: Vec<OsString>,
    },
    /// Deterministic simulation of devices, networks and disks
    Sim {
        /// Passed on to `syncline-sim`, for example `--seeds 500`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Benchmarks with an optimised build; with `--store postgres` on a PostgreSQL and a Redis of their own; `web` alone measures
    /// the SDK in a browser
    Bench {
        /// Passed on to `syncline-bench`, for example `--json`, `--store postgres` or names of benchmarks
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Look at the files of deploy/ with the programs they are for
    Deploy,
    /// Build the web console, which the next build of the server puts into the binary
    Console,
    /// Requests made from the server's own OpenAPI document, hostile ones too; a crash or an undocumented answer fails
    FuzzApi {
        /// Time for the whole round
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// The same seed makes the same requests
        #[arg(long, default_value_t = 1)]
        seed: u32,
    },
    /// House rules that a program can check
    Tidy,
    /// Write docs/CONFIG.md from the server's configuration
    Config,
}

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Run { data, listen, dev } => run::run(&data, &listen, dev),
        Task::Test => proof::test(),
        Task::Services { command } => services::run(&command),
        Task::Sim { args } => shell::cargo(["run", "--release", "--package", "syncline-sim", "--"]).args(args).run(),
        Task::Bench { args } => bench(&args),
        Task::Deploy => deploy::check().map(|skipped| skipped.iter().for_each(|why| println!("not looked at: {why}"))),
        Task::Console => run::build_console(),
        Task::FuzzApi { seconds, seed } => fuzz_api(seconds, seed),
        Task::Tidy => tidy::report(&shell::root()),
        Task::Config => tidy::write_config(&shell::root()),
    }
}

fn fuzz_api(seconds: u32, seed: u32) -> Result<()> {
    shell::cargo(["build", "--package", "syncline-cli", "--bin", "syncline"]).run()?;
    match fuzz::fuzz(&shell::built("debug", "syncline")?, seconds, seed)? {
        fuzz::Fuzzed::Passed => println!("fuzz-api: no crash, no undocumented answer"),
        fuzz::Fuzzed::Skipped(why) => println!("fuzz-api: NOT RUN, {why}"),
    }
    Ok(())
}

fn bench(args: &[String]) -> Result<()> {
    if let Some(("web", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return bench_web(rest);
    }
    let bench = shell::cargo(["run", "--release", "--package", "syncline-bench", "--"]).args(args);
    let is_on_postgres =
        args.windows(2).any(|pair| pair == ["--store", "postgres"]) || args.iter().any(|arg| arg == "--store=postgres");
    if !is_on_postgres {
        return bench.run();
    }
    services::Services::start()?.tell(bench).run()
}

/// The SDK in Chromium against an optimised server, with the packages that the browser test and the bundle need.
fn bench_web(args: &[String]) -> Result<()> {
    shell::cargo(["build", "--release", "--package", "syncline-cli", "--bin", "syncline"]).run()?;
    for folder in ["packages/sdk", "apps/extension"] {
        let install = ["--prefix", folder, "ci", "--no-audit", "--no-fund"];
        shell::program("npm".as_ref()).args(install).run()?;
    }
    let server = shell::built("release", "syncline")?;
    let bench = shell::program("node".as_ref()).args(["bench/web/run.mjs"]).args(args);
    bench.env("SYNCLINE_BIN", &server.to_string_lossy()).run()
}
