//! `syncline`: the server, and the tools around it.

mod clock;
mod device;
mod ops;
mod schema;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Offline-first sync server and real-time gateway for CRM data, in one binary.
#[derive(Parser)]
#[command(name = "syncline", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::ServeArgs),
    #[command(flatten)]
    Ops(ops::OpsCommand),
    Device(device::DeviceArgs),
    /// Look at a declaration of entities, or write what a TypeScript client needs of it.
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
}

fn main() -> ExitCode {
    // Both libraries choose their crypto provider per process; choosing here keeps feature unification out of it.
    let is_installed = rustls::crypto::aws_lc_rs::default_provider().install_default().is_ok();
    debug_assert!(is_installed, "nothing has chosen a provider before main");
    syncline_server::install_crypto();
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
        Command::Ops(command) => Ok(ops::run(&command)),
        Command::Device(args) => run_device(args),
        Command::Schema(command) => schema::run(&command).map(|()| ExitCode::SUCCESS),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_device(args: device::DeviceArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(device::run(args))
}
