//! The operator's commands through the real program, judged by what they answer with `--json` and what an export shows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod audit;
mod backup;
mod config;
mod doctor;
mod export;
mod import;
mod logs;
mod migrate;
mod minimal;
#[path = "../../../storage/tests/support/postgres.rs"]
mod postgres;
mod sample;
mod schema;
mod undo;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use serde_json::Value;
use syncline_core::id::{BackendId, WorkspaceId};
use syncline_core::schema::Schema;
use syncline_core::storage::Store as _;
use syncline_storage::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// A data directory with an empty workspace, and room for files beside it.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn with_workspace() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.data()).unwrap();
        let mut store = place.store();
        store.create_workspace(&workspace(), BackendId::from_u128(1)).unwrap();
        place
    }
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    pub fn database(&self) -> PathBuf {
        self.data().join("syncline.sqlite")
    }
    pub fn store(&self) -> SqliteStore {
        SqliteStore::open(self.database(), Arc::new(Schema::crm()), SqliteOptions::default()).unwrap()
    }
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
    /// `syncline` with these arguments and `--data`.
    pub fn command<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(args).arg("--data").arg(self.data());
        command
    }
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Output {
        self.command(args).output().unwrap()
    }
    /// A server on this data, listening by the time this returns.
    pub fn serve(&self) -> Server {
        self.serve_at("127.0.0.1:0", &[])
    }
    /// As [`Place::serve`], at this address and with these variables.
    pub fn serve_at(&self, address: &str, variables: &[(&str, &str)]) -> Server {
        let mut command = self.command(["serve", "--listen", address]);
        let mut child =
            command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("listens on")), "the server did not start");
        Server(child)
    }
    /// Imports and returns the exit code and the answer.
    pub fn import(&self, file: &Path, entity: &str, more: &[&str]) -> (i32, Value) {
        let args = ["import", path(file), "--entity", entity, "--json"].into_iter().chain(more.iter().copied());
        answer(&self.run(args))
    }
    /// All records of an entity.
    pub fn records(&self, entity: &str) -> Vec<Value> {
        let output = self.run(["export", "--entity", entity, "--format", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
    }
}

/// Ends with its owner.
pub struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

pub fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Exit code and JSON; what was said when there is no JSON.
pub fn answer(output: &Output) -> (i32, Value) {
    let code = output.status.code().unwrap_or(-1);
    let json = serde_json::from_slice(&output.stdout);
    (code, json.unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&output.stderr).into_owned())))
}

pub fn workspace() -> WorkspaceId {
    WorkspaceId::new("main").unwrap()
}

/// Read, created, updated, skipped, failed; they must add up.
pub fn counters(answer: &Value) -> [u64; 5] {
    let counters = &answer["counters"];
    let of = |name: &str| counters[name].as_u64().unwrap_or_else(|| panic!("no {name} in {answer}"));
    let counters = ["read", "created", "updated", "skipped", "failed"].map(of);
    assert_eq!(counters[0], counters[1..].iter().sum::<u64>(), "created, updated, skipped and failed sum to read");
    counters
}
