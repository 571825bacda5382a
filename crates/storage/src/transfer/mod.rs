//! Moving to the other database: everything that is stored, from SQLite to PostgreSQL or back, so that devices go on where
//! they were.
//!
//! Rows travel as lines of PostgreSQL's `COPY` text format ([`lines`]), each table as [`tables`] describes it, in chunks of
//! bounded size. Keys of sets and uniquenesses are not copied: the target fills them when it is opened again, as it does for a
//! new index. While the copy is not finished a mark lies in the target, and nobody opens a database with that mark.

mod lines;
mod mark;
mod postgres;
mod sqlite;
mod tables;
mod verify;

use std::sync::Arc;

use syncline_core::Seq;
use syncline_core::id::WorkspaceId;
use syncline_core::schema::Schema;
use syncline_core::storage::{Store as _, StoreError, StoreResult};

use crate::database::{Database, DatabaseOptions, DatabaseReader};
use crate::postgres::PostgresStore;
use crate::sqlite::SqliteStore;
use crate::url::DatabaseUrl;
use lines::Chunk;
pub(crate) use mark::refuse_incomplete;
use tables::{Table, Tables};

/// What is copied, and where to.
pub struct Transfer<'a> {
    /// Nobody may write to it meanwhile: the caller sees to that on SQLite, on PostgreSQL its tables are locked.
    pub from: &'a DatabaseUrl,
    /// Holds no workspace, or what an interrupted copy left.
    pub to: &'a DatabaseUrl,
    pub schema: Arc<Schema>,
    pub options: DatabaseOptions,
}

/// How far a copy is.
pub struct TransferProgress<'a> {
    /// The table under way; `None`: the copy is being checked.
    pub table: Option<&'a str>,
    pub rows_done: u64,
    pub rows_total: u64,
}

/// What was copied, and found to be equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferReport {
    pub workspaces: Vec<TransferredWorkspace>,
    pub rows: u64,
    /// An earlier copy into this database had been interrupted; it was begun anew.
    pub was_interrupted: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferredWorkspace {
    pub id: WorkspaceId,
    pub epoch: u32,
    pub seq: Seq,
    /// Records and tombstones.
    pub records: u64,
    pub log_entries: u64,
    /// Hash of the last log entry, on both sides.
    pub chain: String,
}

#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("a copy goes from SQLite to PostgreSQL or from PostgreSQL to SQLite: {hint}")]
    SameKind { hint: &'static str },
    #[error("{database} is not empty, it has the workspaces {workspaces}: name an empty database")]
    NotEmpty { database: String, workspaces: String },
    #[error("another copy into {database} is under way")]
    UnderWay { database: String },
    #[error("reading {database} failed")]
    Source { database: String, source: StoreError },
    #[error("writing to {database} failed; run the same command again to begin anew")]
    Target { database: String, source: StoreError },
    #[error("the copy is not equal to its source, and the target stays marked as incomplete: {}", .0.join("; "))]
    Differs(Vec<String>),
}

/// The side that is read, at one moment.
trait Source {
    /// How many rows a table has, of one workspace or, with `None`, in all.
    fn rows(&mut self, table: &Table, of: Option<&WorkspaceId>) -> StoreResult<u64>;
    /// Hands the rows to `work` as chunks that it asks for.
    fn read(&mut self, table: &Table, of: Option<&WorkspaceId>, work: Work<'_>) -> StoreResult<u64>;
}

/// Gives the next chunk; `None` after the last.
type Feed<'a> = &'a mut dyn FnMut() -> StoreResult<Option<Chunk>>;
/// Takes all chunks; returns how many rows were written.
type Work<'a> = &'a mut dyn FnMut(Feed<'_>) -> StoreResult<u64>;

/// The side that is written, by one transaction after the other.
trait Target {
    /// False: another copy into it is under way.
    fn claim(&mut self) -> StoreResult<bool>;
    /// Deletes whatever an interrupted copy left, all but the mark.
    fn clear(&mut self, tables: &Tables) -> StoreResult<()>;
    fn begin(&mut self) -> StoreResult<()>;
    fn write(&mut self, table: &Table, feed: Feed<'_>) -> StoreResult<u64>;
    fn commit(&mut self) -> StoreResult<()>;
    /// Gathers what the planner wants to know about so many new rows.
    fn analyze(&mut self) -> StoreResult<()>;
}

/// Copies everything and checks the copy: counts, digests, uniqueness, and every audit chain hash for hash.
pub fn transfer(
    request: &Transfer<'_>,
    mut progress: impl FnMut(&TransferProgress<'_>),
) -> Result<TransferReport, TransferError> {
    let from = |source| TransferError::Source { database: request.from.to_string(), source };
    let to = |source| TransferError::Target { database: request.to.to_string(), source };
    refuse_same_kind(request)?;
    let source = request.open_source().map_err(from)?;
    let workspaces = source.workspaces().map_err(from)?;
    let target = request.open_target().map_err(to)?;
    let was_interrupted = mark::is_set(&target.auth()).map_err(to)?;
    let present = target.workspaces().map_err(to)?;
    if !was_interrupted && !present.is_empty() {
        let workspaces = present.iter().map(WorkspaceId::as_str).collect::<Vec<_>>().join(", ");
        return Err(TransferError::NotEmpty { database: request.to.to_string(), workspaces });
    }
    let mut writing = request.connect_target().map_err(to)?;
    if !writing.claim().map_err(to)? {
        return Err(TransferError::UnderWay { database: request.to.to_string() });
    }
    mark::set(&target.auth(), request).map_err(to)?;
    drop(target);
    let tables = Tables::new(&request.schema);
    let reading = request.connect_source().map_err(from)?;
    let mut copy =
        Copy { tables: &tables, source: reading, target: writing, progress: &mut progress, done: 0, total: 0 };
    let copied = copy.run(&workspaces).map_err(|error| error.named(request))?;
    let rows = copy.done;
    (copy.progress)(&TransferProgress { table: None, rows_done: rows, rows_total: copy.total });
    drop(copy);
    // Opened again, it fills the keys of sets and uniquenesses.
    let target = request.open_target().map_err(to)?;
    let workspaces =
        verify::verify(&source.reader(), &target.reader(), &copied).map_err(|error| error.named(request))?;
    mark::unset(&target.auth()).map_err(to)?;
    Ok(TransferReport { workspaces, rows, was_interrupted })
}

/// An error before it is known which database it names.
enum Failed {
    Source(StoreError),
    Target(StoreError),
    Differs(Vec<String>),
}

impl Failed {
    fn named(self, request: &Transfer<'_>) -> TransferError {
        match self {
            Self::Source(source) => TransferError::Source { database: request.from.to_string(), source },
            Self::Target(source) => TransferError::Target { database: request.to.to_string(), source },
            Self::Differs(problems) => TransferError::Differs(problems),
        }
    }
}

fn refuse_same_kind(request: &Transfer<'_>) -> Result<(), TransferError> {
    let hint = match (request.from, request.to) {
        (DatabaseUrl::Sqlite(_), DatabaseUrl::Sqlite(_)) => "use `syncline backup` and `syncline restore`",
        (DatabaseUrl::Postgres(_), DatabaseUrl::Postgres(_)) => "use pg_dump and pg_restore",
        (DatabaseUrl::Sqlite(_), DatabaseUrl::Postgres(_)) | (DatabaseUrl::Postgres(_), DatabaseUrl::Sqlite(_)) => {
            return Ok(());
        }
    };
    Err(TransferError::SameKind { hint })
}

impl Transfer<'_> {
    /// Brings the source up to this build and schema, as a server would.
    fn open_source(&self) -> StoreResult<Database> {
        if let DatabaseUrl::Sqlite(path) = self.from
            && !path.is_file()
        {
            return Err(StoreError::Unavailable(format!("there is no file {}", path.display())));
        }
        Database::open(self.from, Arc::clone(&self.schema), self.options.clone())
    }

    /// As [`Database::open`], also when it is marked.
    fn open_target(&self) -> StoreResult<Database> {
        let (schema, options) = (Arc::clone(&self.schema), self.options.clone());
        match self.to {
            DatabaseUrl::Sqlite(path) => SqliteStore::open(path, schema, options.sqlite).map(Database::Sqlite),
            DatabaseUrl::Postgres(url) => PostgresStore::open(url, schema, options.postgres).map(Database::Postgres),
        }
    }

    fn connect_source(&self) -> StoreResult<Box<dyn Source>> {
        Ok(match self.from {
            DatabaseUrl::Sqlite(path) => Box::new(sqlite::SqliteSource::open(path)?),
            DatabaseUrl::Postgres(url) => Box::new(postgres::PostgresSource::open(url)?),
        })
    }

    fn connect_target(&self) -> StoreResult<Box<dyn Target>> {
        Ok(match self.to {
            DatabaseUrl::Sqlite(path) => Box::new(sqlite::SqliteTarget::open(path)?),
            DatabaseUrl::Postgres(url) => Box::new(postgres::PostgresTarget::open(url)?),
        })
    }
}

/// Rows copied of one table, of one workspace or of all.
struct Copied {
    table: String,
    workspace: Option<WorkspaceId>,
    rows: u64,
}

/// A copy under way.
struct Copy<'a> {
    tables: &'a Tables,
    source: Box<dyn Source>,
    target: Box<dyn Target>,
    progress: &'a mut dyn FnMut(&TransferProgress<'_>),
    done: u64,
    total: u64,
}

impl Copy<'_> {
    /// Each workspace is one transaction, so it is there whole or not at all.
    fn run(&mut self, workspaces: &[WorkspaceId]) -> Result<Vec<Copied>, Failed> {
        let tables = self.tables;
        self.target.clear(tables).map_err(Failed::Target)?;
        for table in tables.all() {
            self.total += self.source.rows(table, None).map_err(Failed::Source)?;
        }
        let mut copied = self.transaction(&tables.shared, None)?;
        for workspace in workspaces {
            copied.extend(self.transaction(&tables.of_workspace, Some(workspace))?);
        }
        copied.extend(self.transaction(&tables.identity, None)?);
        self.target.analyze().map_err(Failed::Target)?;
        Ok(copied)
    }

    fn transaction(&mut self, tables: &[Table], of: Option<&WorkspaceId>) -> Result<Vec<Copied>, Failed> {
        self.target.begin().map_err(Failed::Target)?;
        let copied = tables.iter().map(|table| self.table(table, of)).collect::<Result<_, _>>()?;
        self.target.commit().map_err(Failed::Target)?;
        Ok(copied)
    }

    fn table(&mut self, table: &Table, of: Option<&WorkspaceId>) -> Result<Copied, Failed> {
        let Self { source, target, progress, done, total, .. } = self;
        // Which side an error belongs to is known where it happens.
        let mut target_error = None;
        let mut sent = 0;
        let read = source.read(table, of, &mut |feed| {
            let mut read_error = None;
            let written = target.write(table, &mut || {
                let chunk = feed();
                if let Ok(Some(chunk)) = &chunk {
                    sent += chunk.rows;
                    progress(&TransferProgress {
                        table: Some(&table.name),
                        rows_done: *done + sent,
                        rows_total: *total,
                    });
                }
                chunk.inspect_err(|error| read_error = Some(error.to_string()))
            });
            written.inspect_err(|_| target_error = read_error.is_none().then_some(()))
        });
        let written = read.map_err(|error| match target_error {
            Some(()) => Failed::Target(error),
            None => Failed::Source(error),
        })?;
        if written != sent {
            return Err(Failed::Differs(vec![format!("{}: {sent} rows were sent, {written} arrived", table.name)]));
        }
        *done += sent;
        Ok(Copied { table: table.name.clone(), workspace: of.cloned(), rows: sent })
    }
}
