//! Benchmarks of the figures users care about, each beside the limit it is measured against: `cargo xtask bench`.
//!
//! Everything runs on this machine in one process unless it says otherwise; figures are medians over rounds, because
//! machines are noisy. What limits each figure is written in `bench/README.md`.

mod bare;
mod bare_postgres;
mod clock;
mod hub;
mod hydrate;
mod live;
mod local;
mod memory;
mod messages;
mod peers;
mod place;
mod process;
mod push;
mod report;
mod stage;
mod wire;

use clap::Parser;
use place::StoreKind;
use report::Report;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measure Syncline on this machine")]
struct Args {
    /// Which to run: push, spread, live, messages, hydrate, local, memory, hub, peers; all when none is named. `hub` brings
    /// `messages` and the load of `peers` on Syncline alone along. `spread` is for several nodes and runs on PostgreSQL only, `hub`
    /// and `peers` on the embedded database only.
    names: Vec<String>,
    /// Where servers keep their data. `postgres` needs SYNCLINE_TEST_POSTGRES and SYNCLINE_TEST_REDIS, which
    /// `cargo xtask bench` sets.
    #[arg(long, value_enum, default_value_t = StoreKind::Sqlite)]
    store: StoreKind,
    /// Print one JSON object instead of tables.
    #[arg(long)]
    json: bool,
    /// A tenth of the work: to see that everything runs, not for figures.
    #[arg(long)]
    quick: bool,
    /// Of the pushes only those of so many clients with so many mutations a frame, for example 10x100: for a profiler.
    #[arg(long, value_parser = pair)]
    only: Option<(usize, usize)>,
}

fn pair(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('x').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
    parsed.ok_or_else(|| "two numbers, for example 10x100".to_owned())
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    syncline_server::install_crypto();
    let _chosen_before = rustls::crypto::aws_lc_rs::default_provider().install_default().is_err();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let scale = if args.quick { 10 } else { 1 };
    let known = ["push", "spread", "live", "messages", "hydrate", "local", "memory", "hub", "peers"];
    if let Some(name) = args.names.iter().find(|name| !known.contains(&name.as_str())) {
        anyhow::bail!("there is no benchmark `{name}`: choose from {}", known.join(", "));
    }
    let is_named = |name: &str| args.names.iter().any(|wanted| wanted == name);
    let is_wanted = |name: &str| args.names.is_empty() || is_named(name);
    let kind = args.store;
    if is_named("spread") && kind == StoreKind::Sqlite {
        anyhow::bail!("`spread` compares one node with two: add `--store postgres`");
    }
    let mut report = Report::new(args.json);
    runtime.block_on(async {
        if is_wanted("push") {
            push::run(&mut report, kind, scale, args.only).await?;
        }
        if is_wanted("spread") && kind == StoreKind::Postgres {
            push::spread(&mut report, scale).await?;
        }
        if is_wanted("live") {
            live::run(&mut report, kind, scale).await?;
        }
        if is_wanted("messages") || is_named("hub") {
            messages::run(&mut report, kind, scale).await?;
        }
        if is_wanted("hydrate") {
            hydrate::run(&mut report, kind, scale).await?;
        }
        if is_wanted("local") {
            local::run(&mut report, scale)?;
        }
        if is_wanted("memory") {
            memory::run(&mut report, kind, scale).await?;
        }
        // Last, because it keeps the program on one processor.
        if is_wanted("hub") {
            hub::run(&mut report, scale).await?;
        }
        if is_named("hub") && !is_named("peers") {
            peers::alone(&mut report, scale).await?;
        }
        if is_wanted("peers") {
            peers::run(&mut report, scale).await?;
        }
        anyhow::Ok(())
    })?;
    report.finish();
    Ok(())
}
