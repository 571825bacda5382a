//! The operator's commands on the data: import, export, doctor, backup, restore, the move to PostgreSQL.
//!
//! Each works on the database directly. Those that write to an embedded one take the data's lock first ([`data`]), so that
//! they never run beside a server; those that read run while a server does, and on PostgreSQL so does an import. Exit codes: 0 done, 1 failed or a problem found,
//! 2 wrong usage, 3 done but some rows failed, 4 somebody else is writing to the data.

pub mod audit;
pub mod backup;
pub mod config;
pub mod data;
mod disk;
pub mod doctor;
pub mod export;
mod formula;
pub mod health;
pub mod import;
pub mod migrate_storage;
pub mod restored;

use std::process::ExitCode;

use clap::Subcommand;

pub const EXIT_PROBLEM: u8 = 1;
pub const EXIT_ROWS_FAILED: u8 = 3;
pub const EXIT_IN_USE: u8 = 4;

#[derive(Debug, Subcommand)]
pub enum OpsCommand {
    /// Import a CSV or JSON file
    Import(import::ImportArgs),
    /// Export an entity as CSV or JSON
    Export(export::ExportArgs),
    /// Verify or export the log of sign-ins and administrators' doings
    Audit(audit::AuditArgs),
    /// Check, show or document the server's configuration
    Config(config::ConfigArgs),
    /// Check the database, the audit chain and the surroundings
    Doctor(doctor::DoctorArgs),
    /// Ask the running server whether it takes work
    Health(health::HealthArgs),
    /// Copy the database to one file, while the server runs
    Backup(backup::BackupArgs),
    /// Bring a backup back as a new epoch
    Restore(backup::RestoreArgs),
    /// Begin a new epoch after PostgreSQL's own tools have brought a backup back
    Restored(restored::RestoredArgs),
    /// Copy everything to another kind of database, from SQLite to PostgreSQL or back
    MigrateStorage(migrate_storage::MigrateStorageArgs),
}

/// Runs a command; an error becomes one line for people and its exit code.
pub fn run(command: &OpsCommand) -> ExitCode {
    let done = match command {
        OpsCommand::Import(args) => import::run(args),
        OpsCommand::Export(args) => export::run(args),
        OpsCommand::Audit(args) => audit::run(args),
        OpsCommand::Config(args) => config::run(args),
        OpsCommand::Doctor(args) => doctor::run(args),
        OpsCommand::Health(args) => health::run(args),
        OpsCommand::Backup(args) => backup::run_backup(args),
        OpsCommand::Restore(args) => backup::run_restore(args),
        OpsCommand::Restored(args) => restored::run(args),
        OpsCommand::MigrateStorage(args) => migrate_storage::run(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error:#}");
            let is_in_use = error.downcast_ref::<data::InUse>().is_some();
            ExitCode::from(if is_in_use { EXIT_IN_USE } else { EXIT_PROBLEM })
        }
    }
}
