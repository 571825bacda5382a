//! `syncline doctor`: is everything all right with the data and its surroundings, and what to do when it is not.

mod surroundings;

use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, Color, Table};
use serde::Serialize;
use serde_json::json;
use syncline_core::schema::Schema;
use syncline_core::storage::{Read, StoreError, StoreResult};
use syncline_server::{Config, node_notes};
use syncline_storage::{Database, DatabaseReader, NewerVersion, SqliteReader};

use super::EXIT_PROBLEM;
use super::audit;
use super::data::{DataArgs, DataLock, InUse};
use super::disk;
use super::import::print_json;
use crate::clock;

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Configuration of the server in TOML; environment variables override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Answer for programs
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Health {
    Ok,
    /// Works, but will hurt.
    Warning,
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    check: &'static str,
    health: Health,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

impl Finding {
    fn is_ok(&self) -> bool {
        self.health == Health::Ok
    }
    fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, health: Health::Ok, detail: detail.into(), hint: None }
    }
    fn warning(check: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self { check, health: Health::Warning, detail: detail.into(), hint: Some(hint) }
    }
    fn problem(check: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self { check, health: Health::Problem, detail: detail.into(), hint: Some(hint) }
    }
    /// What could not be looked at. `remedy` is for damage: nothing else calls for a backup.
    fn failure(check: &'static str, error: &anyhow::Error, remedy: &'static str) -> Self {
        let hint = match error.downcast_ref::<StoreError>() {
            Some(StoreError::Corrupt(_)) => Some(remedy),
            Some(StoreError::Unavailable(_) | StoreError::Indeterminate(_)) => Some(UNAVAILABLE),
            Some(StoreError::Database(source)) if source.is::<NewerVersion>() => None,
            Some(StoreError::Database(_) | StoreError::NoWorkspace(_) | StoreError::WorkspaceExists(_)) => Some(MANUAL),
            // It says itself what to do.
            None => None,
        };
        Self { check, health: Health::Problem, detail: format!("{error:#}"), hint }
    }
}

const RESTORE: &str =
    "stop the server, keep a copy of the data, and bring the last good backup back with `syncline restore`";
const UNAVAILABLE: &str = "see that the database is reachable, that this account may use it, and that its disk has room; then run doctor again";
const MANUAL: &str = "see docs/operations/failures.md";
const RESTORE_POSTGRES: &str = "see docs/operations/failures.md, and docs/operations/backup.md for the way back";

pub fn run(args: &DoctorArgs) -> anyhow::Result<u8> {
    let findings = look(args);
    let has_problem = findings.iter().any(|finding| finding.health == Health::Problem);
    if args.json {
        print_json(&json!({ "healthy": !has_problem, "findings": findings }))?;
    } else {
        print(&findings);
    }
    Ok(if has_problem { EXIT_PROBLEM } else { 0 })
}

fn look(args: &DoctorArgs) -> Vec<Finding> {
    let sqlite_path = args.data.sqlite_path();
    let (mut findings, config) = surroundings::configuration(super::config::load(args.config.as_deref()));
    findings.extend(sqlite_path.is_some().then(sqlite));
    let schema = match args.data.schema() {
        Ok(schema) => schema,
        Err(error) => {
            findings.push(Finding::problem(
                "schema",
                format!("{error:#}"),
                "correct the declaration at the line it names",
            ));
            return findings;
        }
    };
    findings.push(Finding::ok(
        "schema",
        format!("version {}, {} entities, {}", schema.version, schema.entities.len(), schema.hash),
    ));
    let remedy = match &sqlite_path {
        Some(path) => {
            let folder = folder_of(path);
            findings.extend([surroundings::writable(folder), space(path), server(folder)]);
            RESTORE
        }
        None => RESTORE_POSTGRES,
    };
    match args.data.open_existing(&schema) {
        Ok(store) => {
            findings.extend(config.iter().flat_map(|config| nodes(&store, config)));
            findings.extend(sqlite_path.is_none().then(|| version(&store.reader())));
            Contents { store: &store, schema: &schema, remedy }.look(&mut findings);
        }
        Err(error) => findings.push(Finding::failure("database", &error, remedy)),
    }
    if let Some(config) = &config {
        let is_running = sqlite_path.as_ref().is_some_and(|path| is_in_use(folder_of(path)));
        findings.extend(surroundings::ports(config, is_running));
        findings.push(surroundings::open_files(config));
        findings.extend(surroundings::certificate(config, clock::now_ms()));
        findings.extend(redis(config));
    }
    findings
}

/// What the nodes of this database say of themselves, and its clock.
fn nodes(store: &Database, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    match node_notes::current(&store.auth(), clock::now_ms()) {
        Ok(nodes) => findings.push(surroundings::signing_keys(config, &nodes)),
        Err(error) => findings.push(Finding::failure("signing keys", &error.into(), RESTORE_POSTGRES)),
    }
    let before = clock::now_ms();
    match store.reader().clock_ms() {
        Ok(None) => {}
        Ok(Some(at_ms)) => findings.push(surroundings::clock_skew(at_ms, (before, clock::now_ms()))),
        Err(error) => findings.push(Finding::failure("clock of the database", &error.into(), RESTORE_POSTGRES)),
    }
    findings
}

fn redis(config: &Config) -> Option<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(surroundings::redis(config)),
        Err(error) => Some(Finding::warning("redis", format!("was not asked: {error}"), "run doctor again")),
    }
}

fn is_in_use(folder: &Path) -> bool {
    let acquired = folder.is_dir().then(|| DataLock::acquire(folder));
    matches!(acquired, Some(Err(error)) if error.downcast_ref::<InUse>().is_some())
}

fn sqlite() -> Finding {
    Finding::ok("sqlite", format!("version {}", SqliteReader::sqlite_version()))
}

fn version(reader: &DatabaseReader) -> Finding {
    match reader.version() {
        Ok(version) => Finding::ok("postgresql", version),
        Err(error) => Finding::failure("postgresql", &error.into(), RESTORE_POSTGRES),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Room for the database to double, its log and a backup's working copy.
fn space(path: &Path) -> Finding {
    let used = std::fs::metadata(path).map_or(0, |file| file.len());
    let hint = "make room: a full disk stops every write";
    let Some(free) = disk::free_bytes(folder_of(path)) else {
        return Finding::warning("disk space", "cannot be asked here", "look at the disk yourself");
    };
    let detail = format!("{} MiB free, the database has {} MiB", free >> 20, used >> 20);
    match free {
        _ if free < 64 << 20 => Finding::problem("disk space", detail, hint),
        _ if free < used.max(1 << 30) => Finding::warning("disk space", detail, hint),
        _ => Finding::ok("disk space", detail),
    }
}

fn server(folder: &Path) -> Finding {
    match folder.is_dir().then(|| DataLock::acquire(folder)) {
        Some(Err(error)) if error.downcast_ref::<InUse>().is_some() => Finding::ok("writer", "a server is running"),
        Some(Err(error)) => Finding::problem(
            "writer",
            format!("{error:#}"),
            "the account that runs the server must own the data directory",
        ),
        Some(Ok(_)) | None => Finding::ok("writer", "nobody is writing to the data"),
    }
}

/// What is looked at in the database itself.
struct Contents<'a> {
    store: &'a Database,
    schema: &'a Schema,
    /// What to do when it is damaged.
    remedy: &'static str,
}

impl Contents<'_> {
    fn look(&self, findings: &mut Vec<Finding>) {
        let Self { store, schema, remedy } = *self;
        let reader = store.reader();
        match reader.check() {
            Ok(report) if report.problems.is_empty() => {
                let detail = format!(
                    "{} workspaces, {} records, {} log entries: structure, references, digests and uniqueness agree",
                    report.workspaces, report.records, report.log_entries
                );
                findings.push(Finding::ok("integrity", detail));
            }
            Ok(report) => {
                let problems = report.problems.into_iter();
                findings.extend(problems.map(|problem| Finding::problem("integrity", problem, remedy)));
            }
            Err(error) => findings.push(Finding::failure("integrity", &error.into(), remedy)),
        }
        let workspaces = match reader.workspaces() {
            Ok(workspaces) => workspaces,
            Err(error) => {
                findings.push(Finding::failure("workspaces", &error.into(), remedy));
                return;
            }
        };
        match audit::chains(store, &[]) {
            Ok(chains) => findings.extend(chains.iter().map(|chain| match chain.problem {
                Some(_) => Finding::problem("audit chain", chain.to_string(), remedy),
                None => Finding::ok("audit chain", chain.to_string()),
            })),
            Err(error) => findings.push(Finding::failure("audit chain", &error, remedy)),
        }
        for workspace in &workspaces {
            match reader.read(workspace, |read| clock_of(read, clock::now_ms())) {
                Ok(finding) => findings.push(Finding { detail: format!("{workspace}: {}", finding.detail), ..finding }),
                Err(error) => findings.push(Finding::failure("clock", &error.into(), remedy)),
            }
            match reader.read(workspace, |read| imports_of(schema, read)) {
                Ok(found) => findings.extend(found),
                Err(error) => findings.push(Finding::failure("imports", &error.into(), remedy)),
            }
        }
    }
}

/// The clock must not stand before the last commit, nor before this program was written.
fn clock_of(read: &dyn Read, now_ms: u64) -> StoreResult<Finding> {
    const WRITTEN_MS: u64 = 1_760_000_000_000;
    let hint = "set the machine's clock, and keep it with NTP: edits would be dated wrongly";
    let head = read.head()?;
    let last_ms = if head.seq == 0 { 0 } else { read.log_entry(head.seq)?.map_or(0, |entry| entry.committed_ms) };
    Ok(if now_ms < WRITTEN_MS {
        Finding::problem("clock", "the machine's clock stands years in the past", hint)
    } else if last_ms > now_ms + 60_000 {
        let ahead_s = (last_ms - now_ms) / 1_000;
        Finding::problem("clock", format!("the last change is dated {ahead_s} s in the future"), hint)
    } else {
        Finding::ok("clock", "not before the last change")
    })
}

/// Imports somebody still has to go on with.
fn imports_of(schema: &Schema, read: &dyn Read) -> StoreResult<Vec<Finding>> {
    if schema.entity("imports").is_none() {
        return Ok(Vec::new());
    }
    let running = super::import::unfinished(read)?;
    let hint = "go on with `syncline import FILE --entity … --resume`, or take it back with --undo";
    Ok(running
        .into_iter()
        .map(|id| Finding::warning("imports", format!("import {id} was interrupted"), hint))
        .collect())
}

fn print(findings: &[Finding]) {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_header(["", "check", "found"]);
    for finding in findings {
        let (word, color) = match finding.health {
            Health::Ok => ("ok", Color::Green),
            Health::Warning => ("warning", Color::Yellow),
            Health::Problem => ("problem", Color::Red),
        };
        let detail = match finding.hint {
            Some(hint) => format!("{}\n→ {hint}", finding.detail),
            None => finding.detail.clone(),
        };
        table.add_row([Cell::new(word).fg(color), Cell::new(finding.check), Cell::new(detail)]);
    }
    println!("{table}");
}
