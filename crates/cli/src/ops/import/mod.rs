//! `syncline import`: rows of a file become records, through the same engine as every other write.
//!
//! A file is looked at ([`survey`]), its columns are mapped ([`columns`]), each row is planned on the store as it is
//! ([`plan`]) and a few hundred rows at a time are committed together with the import's progress ([`commit`]), after what they
//! will read was loaded at once ([`wanted`]): a kill loses at most the batch under way, and resuming goes on exactly behind
//! the last one. What identifies a row is in [`identity`]; undoing is in [`undo`].

mod columns;
mod commit;
mod content;
mod dates;
mod errors;
mod identity;
mod json_rows;
mod plan;
mod report;
mod running;
mod source;
mod state;
mod survey;
mod synonyms;
mod undo;
mod values;
mod wanted;

use std::path::PathBuf;

use clap::Args;
use syncline_core::id::RecordId;

use super::data::DataArgs;
use dates::DateOrder;
use plan::OnMatch;
use state::ImportState;

/// Rows become records. E-mail and phone matches never block: they are skipped, filled or noted as --on-match says, and
/// listed in the error file. The same file again creates nothing.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// CSV (any delimiter) or JSON (an array, or one object per line)
    #[arg(required_unless_present = "undo")]
    pub file: Option<PathBuf>,
    /// What the rows are: leads (each with its contact), contacts, companies, …
    #[arg(long, required_unless_present = "undo")]
    pub entity: Option<String>,
    #[command(flatten)]
    pub data: DataArgs,
    /// Workspace to import into; may be left out when there is one
    #[arg(long, value_name = "ID")]
    pub workspace: Option<String>,
    /// Targets by header, as TOML or JSON: [columns] "First Name" = "contact.firstname"
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Show the mapping and what would happen, and write nothing
    #[arg(long)]
    pub preview: bool,
    /// What to do with a row whose record is there already
    #[arg(long, value_enum, default_value_t = OnMatch::Skip)]
    pub on_match: OnMatch,
    /// How dates such as 03/04/2024 are meant
    #[arg(long, value_enum)]
    pub date_order: Option<DateOrder>,
    /// Cells that mean "nothing chosen"; default Select, "" for none
    #[arg(long, value_name = "TEXT")]
    pub placeholder: Vec<String>,
    /// Go on with the interrupted import of this file
    #[arg(long, conflicts_with_all = ["preview", "undo"])]
    pub resume: bool,
    /// Delete what an import created and nobody has changed since
    #[arg(long, value_name = "IMPORT_ID", conflicts_with = "preview")]
    pub undo: Option<RecordId>,
    /// With --undo: also what was changed since
    #[arg(long, requires = "undo")]
    pub force: bool,
    /// Where rows that were skipped, failed or deserve a look are listed; default imports/<id>.csv in the data
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

pub fn run(args: &ImportArgs) -> anyhow::Result<u8> {
    match args.undo {
        Some(import_id) => running::undo(args, import_id),
        None => running::import(args),
    }
}

pub use report::print_json;
pub use running::progress_bar;

/// Ids of imports that were interrupted.
pub fn unfinished(read: &dyn syncline_core::storage::Read) -> syncline_core::storage::StoreResult<Vec<RecordId>> {
    let records = state::all(read)?;
    let running = records.iter().filter(|record| state::text(record, "state") == ImportState::Running.word());
    Ok(running.map(|record| record.id).collect())
}
