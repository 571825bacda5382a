//! `syncline restored`: begins a new epoch after PostgreSQL's own tools have brought a backup back.

use anyhow::bail;
use clap::Args;
use serde_json::json;
use syncline_storage::begin_epochs;

use super::backup::epoch_parser;
use super::data::DataArgs;
use super::import::print_json;

/// Run it once, after the restore and before the first node starts: devices then offer again what the backup does not know
/// (spec EPO-1). Without it they would wait for changes that are gone.
#[derive(Debug, Args)]
pub struct RestoredArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Epoch to begin instead of the first one after the database's own. Needed whenever a backup from before an earlier
    /// `restored` was brought back, above all the same one a second time: the database cannot know of that epoch any more.
    /// Name one above what was printed then
    #[arg(long, value_name = "N", value_parser = epoch_parser())]
    pub epoch: Option<u32>,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &RestoredArgs) -> anyhow::Result<u8> {
    if args.data.sqlite_path().is_some() {
        bail!("name the PostgreSQL database with --database: an embedded one is brought back with `syncline restore`");
    }
    let mut store = args.data.open_existing(&args.data.schema()?)?;
    let report = store.reader().check()?;
    if let Some(problem) = report.problems.first() {
        bail!("the restored database is not sound, and nothing was changed: {problem}");
    }
    let epochs = begin_epochs(&mut store, 0, args.epoch)?;
    if args.json {
        let epochs = epochs.iter().map(|(workspace, epoch)| json!({ "workspace": workspace, "epoch": epoch }));
        return print_json(&json!({ "workspaces": epochs.collect::<Vec<_>>() })).map(|()| 0);
    }
    println!("{} was checked.", args.data.url());
    for (workspace, epoch) in &epochs {
        println!("  {workspace}: epoch {epoch}");
    }
    println!(
        "Keep the number: after another restore of a backup that is older than this one, `--epoch` must be above it."
    );
    Ok(0)
}
