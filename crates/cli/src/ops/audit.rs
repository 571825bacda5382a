//! `syncline audit`: is the record of who did what whole, and a copy of it for others.

use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use syncline_core::id::WorkspaceId;
use syncline_core::storage::Store as _;
use syncline_storage::sqlite::{AuditHead, AuditQuery, AuditRow};
use syncline_storage::{Database, DatabaseAuth};

use super::EXIT_PROBLEM;
use super::data::{self, DataArgs};
use super::formula;
use super::import::print_json;

/// The log of sign-ins, refusals and what administrators did, and the history of records.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Recompute every hash of the audit logs and of the change logs; names the first entry that was altered
    Verify(VerifyArgs),
    /// Print the last entry of every audit log with its hash, to be kept where nobody who can write to the database can
    Heads(HeadsArgs),
    /// Write a workspace's audit log, newest first
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
    /// What `audit heads` printed earlier: says also whether anything before was rewritten or cut off
    #[arg(long, value_name = "FILE")]
    heads: Option<PathBuf>,
    /// Answer for programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct HeadsArgs {
    #[command(flatten)]
    data: DataArgs,
}

/// A kept head, one line of JSON.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptHead {
    /// `None`: the server's own log.
    workspace: Option<WorkspaceId>,
    seq: u64,
    hash: String,
}

#[derive(Debug, Args)]
struct ExportArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Workspace to export; may be left out when there is one
    #[arg(long, value_name = "ID")]
    workspace: Option<String>,
    /// The server's own log instead: sign-ins that belong to no workspace
    #[arg(long, conflicts_with = "workspace")]
    server: bool,
    #[arg(long, value_enum, default_value_t = AuditFormat::Ndjson)]
    format: AuditFormat,
    /// Where to write; default standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum AuditFormat {
    Csv,
    /// One object per line
    Ndjson,
}

pub fn run(args: &AuditArgs) -> anyhow::Result<u8> {
    match &args.command {
        AuditCommand::Verify(args) => verify(args),
        AuditCommand::Heads(args) => heads(args),
        AuditCommand::Export(args) => export(args),
    }
}

/// One chain.
pub(super) struct Verified {
    workspace: Option<WorkspaceId>,
    log: &'static str,
    /// Entries up to this one were forgotten.
    after: u64,
    entries: u64,
    pub(super) problem: Option<String>,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.workspace.as_ref().map_or("(server)", WorkspaceId::as_str);
        match &self.problem {
            None => write!(f, "{name}: {} log, {} entries, whole", self.log, self.entries),
            Some(problem) => write!(f, "{name}: {} log: {problem}", self.log),
        }
    }
}

fn verify(args: &VerifyArgs) -> anyhow::Result<u8> {
    let store = args.data.open_existing(&args.data.schema()?)?;
    let kept = args.heads.as_deref().map(kept_heads).transpose()?.unwrap_or_default();
    let chains = chains(&store, &kept)?;
    let is_whole = chains.iter().all(|chain| chain.problem.is_none());
    if args.json {
        let shown = chains.iter().map(|chain| {
            json!({ "workspace": chain.workspace, "log": chain.log, "after": chain.after, "entries": chain.entries,
                "problem": chain.problem })
        });
        print_json(&json!({ "whole": is_whole, "chains": shown.collect::<Vec<_>>() }))?;
    } else {
        chains.iter().for_each(|chain| println!("{chain}"));
    }
    Ok(if is_whole { 0 } else { EXIT_PROBLEM })
}

/// The audit logs of the server and of every workspace, and the workspaces' change logs.
pub(super) fn chains(store: &Database, kept: &[KeptHead]) -> anyhow::Result<Vec<Verified>> {
    let auth = store.auth();
    let mut chains = vec![audit_chain(&auth, None, kept)?];
    for workspace in store.workspaces()? {
        chains.push(audit_chain(&auth, Some(&workspace), kept)?);
        let report = store.reader().verify_chain(&workspace)?;
        chains.push(Verified {
            workspace: Some(workspace),
            log: "change",
            after: report.after,
            entries: report.entries,
            problem: report.problem,
        });
    }
    Ok(chains)
}

fn audit_chain(auth: &DatabaseAuth, workspace: Option<&WorkspaceId>, kept: &[KeptHead]) -> anyhow::Result<Verified> {
    // Of several the latest: it stands for those before it.
    let kept = kept.iter().filter(|kept| kept.workspace.as_ref() == workspace).max_by_key(|kept| kept.seq);
    let kept = kept.map(|kept| AuditHead { seq: kept.seq, hash: kept.hash.clone() });
    let report = auth.verify_audit(workspace, kept.as_ref())?;
    let workspace = workspace.cloned();
    Ok(Verified { workspace, log: "audit", after: report.after, entries: report.entries, problem: report.problem })
}

fn heads(args: &HeadsArgs) -> anyhow::Result<u8> {
    let store = args.data.open_existing(&args.data.schema()?)?;
    let auth = store.auth();
    let workspaces = std::iter::once(None).chain(store.workspaces()?.into_iter().map(Some));
    for workspace in workspaces {
        let report = auth.verify_audit(workspace.as_ref(), None)?;
        if let Some(problem) = report.problem {
            bail!("a head is worth nothing while the log is not whole: {problem}; see `syncline audit verify`");
        }
        if let Some(AuditHead { seq, hash }) = report.head {
            println!("{}", serde_json::to_string(&KeptHead { workspace, seq, hash })?);
        }
    }
    Ok(0)
}

fn kept_heads(path: &Path) -> anyhow::Result<Vec<KeptHead>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.map(serde_json::from_str).collect::<Result<_, _>>();
    parsed.with_context(|| format!("{} does not hold what `syncline audit heads` prints", path.display()))
}

/// Rows that are read at a time.
const PAGE: usize = 1_000;
/// Columns of CSV, as members of an entry; `detail` is JSON.
const COLUMNS: [&str; 9] =
    ["at_ms", "event", "user_id", "device_id", "subject", "request_id", "address", "detail", "id"];

fn export(args: &ExportArgs) -> anyhow::Result<u8> {
    let store = args.data.open_existing(&args.data.schema()?)?;
    let named = args.workspace.as_deref();
    let workspace = if args.server { None } else { Some(data::workspace_existing(&store, named)?) };
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(File::create(path).with_context(|| format!("making {} failed", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut sink = Sink::new(args.format, BufWriter::new(out))?;
    let (auth, mut before_seq, mut rows) = (store.auth(), None, 0_u64);
    loop {
        let query = AuditQuery { before_seq, event: None, user_id: None, from_ms: 0, to_ms: u64::MAX, limit: PAGE };
        let page = auth.audit_page(workspace.as_ref(), &query)?;
        page.iter().try_for_each(|row| sink.write(row))?;
        rows += page.len() as u64;
        before_seq = page.last().map(|last| last.seq);
        if page.len() < PAGE {
            break;
        }
    }
    sink.finish()?;
    if args.out.is_some() {
        eprintln!("{rows} entries exported");
    }
    Ok(0)
}

type Out = BufWriter<Box<dyn Write>>;

enum Sink {
    Csv(Box<csv::Writer<Out>>),
    Lines(Out),
}

impl Sink {
    fn new(format: AuditFormat, out: Out) -> anyhow::Result<Self> {
        Ok(match format {
            AuditFormat::Ndjson => Self::Lines(out),
            AuditFormat::Csv => {
                let mut writer = Box::new(csv::Writer::from_writer(out));
                writer.write_record(["seq"].iter().chain(&COLUMNS).chain(&["hash"]))?;
                Self::Csv(writer)
            }
        })
    }

    fn write(&mut self, row: &AuditRow) -> anyhow::Result<()> {
        let entry: Value = serde_json::from_str(&row.entry).with_context(|| format!("audit entry {}", row.seq))?;
        match self {
            Self::Lines(out) => {
                // The entry stays as it was hashed: whoever has the lines can verify the chain.
                let line = json!({ "seq": row.seq, "hash": row.hash, "entry": entry, "hashed": row.entry });
                Ok(writeln!(out, "{line}")?)
            }
            Self::Csv(writer) => {
                let cell = |column: &&str| match &entry[*column] {
                    Value::Null => String::new(),
                    Value::String(text) => formula::guard(text).into_owned(),
                    other => other.to_string(),
                };
                let cells = std::iter::once(row.seq.to_string());
                let cells = cells.chain(COLUMNS.iter().map(cell)).chain([row.hash.clone()]);
                Ok(writer.write_record(cells)?)
            }
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Csv(mut writer) => Ok(writer.flush()?),
            Self::Lines(mut out) => Ok(out.flush()?),
        }
    }
}
