//! The migrations of the tables that do not depend on the schema, run by refinery over the simple query protocol: its own
//! driver prepares statements under names, which a pooler may hand to somebody else.

use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use refinery_core::{AsyncMigrate, Migration};
use syncline_core::storage::StoreResult;
use time::OffsetDateTime;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::migration::newer_version;

use super::error::{refused, sentence};

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// Brings the tables up to this build, all steps in one transaction. The caller holds the lock that keeps others from doing
/// the same: refinery takes none.
pub(super) async fn migrate(client: &Client) -> StoreResult<()> {
    let runner = migrations::migrations::runner().set_grouped(true).set_abort_missing(true);
    let report = runner.run_async(&mut Simple(client)).await;
    let report = report.map_err(|error| {
        newer_version(&runner, &error).unwrap_or_else(|| {
            let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
            refused(format!("migrating the database failed: {error}{cause}"))
        })
    })?;
    for step in report.applied_migrations() {
        tracing::info!(step = step.version(), name = step.name(), "migrated the database");
    }
    Ok(())
}

struct Simple<'a>(&'a Client);

#[derive(Debug, thiserror::Error)]
enum MigrateError {
    #[error("{}", sentence(.0))]
    Postgres(#[from] tokio_postgres::Error),
    #[error("refinery_schema_history holds a row that refinery did not write")]
    History,
}

impl AsyncTransaction for Simple<'_> {
    type Error = MigrateError;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, MigrateError> {
        // A table that is there already is nothing a log has to say at every start.
        self.0.batch_execute("BEGIN; SET LOCAL client_min_messages = warning").await?;
        let mut count = 0;
        for query in queries {
            if let Err(error) = self.0.batch_execute(query).await {
                // The first error is the one that tells; without a connection there is nothing to roll back.
                let _ = self.0.batch_execute("ROLLBACK").await;
                return Err(error.into());
            }
            count += 1;
        }
        self.0.batch_execute("COMMIT").await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for Simple<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, MigrateError> {
        let mut applied = Vec::new();
        for message in self.0.simple_query(query).await? {
            let SimpleQueryMessage::Row(row) = message else { continue };
            let (Some(version), Some(name), Some(checksum)) = (row.get(0), row.get(1), row.get(3)) else {
                return Err(MigrateError::History);
            };
            let (Ok(version), Ok(checksum)) = (version.parse(), checksum.parse()) else {
                return Err(MigrateError::History);
            };
            // When a step was taken decides nothing.
            applied.push(Migration::applied(version, name.to_owned(), OffsetDateTime::UNIX_EPOCH, checksum));
        }
        Ok(applied)
    }
}

impl AsyncMigrate for Simple<'_> {}
