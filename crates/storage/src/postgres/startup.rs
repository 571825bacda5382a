//! What can be wrong with a server before anything works, each in one sentence that says what to do.

use syncline_core::storage::StoreError;
use tokio_postgres::error::SqlState;

use super::error::{Fault, sentence};
use super::wire::Wire;

/// The oldest server that is supported.
const SERVER_VERSION_MIN: i64 = 140_000;

/// Why a PostgreSQL database cannot be used; found as the source of [`StoreError::Database`]. Waiting does not help.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    #[error("{0}")]
    Url(#[from] crate::url::InvalidDatabaseUrl),
    #[error(
        "{at} refuses the user name or password: correct them in the database URL, or add the host to the server's pg_hba.conf ({said})"
    )]
    Credentials { at: String, said: String },
    #[error(
        "{at} does not exist: create it with `CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0`, or correct the name in the database URL"
    )]
    NoDatabase { at: String },
    #[error("the server at {at} runs PostgreSQL {version}: 14 or newer is needed")]
    TooOld { at: String, version: String },
    #[error(
        "the server at {at} is read-only (a standby, or default_transaction_read_only is on): use the URL of the primary"
    )]
    ReadOnly { at: String },
    #[error("the database {at} is encoded as {encoding}: create one with ENCODING 'UTF8'")]
    Encoding { at: String, encoding: String },
    #[error("the user of {at} may not create tables: run `GRANT CREATE, USAGE ON SCHEMA {schema} TO …` as the owner")]
    NoCreateRight { at: String, schema: String },
    #[error("{at} has no schema to create tables in: create the schema that search_path names")]
    NoSchema { at: String },
    #[error("TLS to the database cannot be set up: {0}")]
    Tls(String),
}

impl StartupError {
    pub(super) fn into_store_error(self) -> StoreError {
        StoreError::Database(Box::new(self))
    }
}

/// The meaning of an error of connecting to `at`: what only an operator can mend is a [`StartupError`].
pub(super) fn refused_connection(at: &str, error: tokio_postgres::Error) -> Result<Fault, StartupError> {
    let said = sentence(&error);
    let at = at.to_owned();
    match error.code() {
        Some(code) if code.code().starts_with("28") => Err(StartupError::Credentials { at, said }),
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => Err(StartupError::NoDatabase { at }),
        Some(_) => Ok(Fault::Postgres(error)),
        None if said.contains("password missing") || said.contains("password authentication") => {
            Err(StartupError::Credentials { at, said })
        }
        None if said.contains("TLS") || said.contains("certificate") => Err(StartupError::Tls(format!("{at}: {said}"))),
        None => Ok(Fault::Connect(format!(
            "{at} cannot be reached: is PostgreSQL running there, and do host, port and firewall allow it? ({said})"
        ))),
    }
}

/// Checks once, when a database is opened, that this server can hold our tables.
pub(super) fn check_server(wire: &Wire<'_>, at: &str) -> Result<(), StoreError> {
    let sql = "SELECT current_setting('server_version_num')::bigint, current_setting('server_version'),
        pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean,
        current_setting('server_encoding'), current_schema()::text,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let rows = wire.query(sql, Vec::new()).map_err(Fault::into_store_error)?;
    let Some(row) = rows.first() else { return Ok(()) };
    let at = at.to_owned();
    if row.get::<_, i64>(0) < SERVER_VERSION_MIN {
        return Err(StartupError::TooOld { at, version: row.get(1) }.into_store_error());
    }
    if row.get(2) {
        return Err(StartupError::ReadOnly { at }.into_store_error());
    }
    let encoding: String = row.get(3);
    if encoding != "UTF8" {
        return Err(StartupError::Encoding { at, encoding }.into_store_error());
    }
    let Some(schema) = row.get::<_, Option<String>>(4) else {
        return Err(StartupError::NoSchema { at }.into_store_error());
    };
    if !row.get::<_, bool>(5) {
        return Err(StartupError::NoCreateRight { at, schema }.into_store_error());
    }
    Ok(())
}
