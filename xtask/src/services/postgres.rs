//! A PostgreSQL with a fresh data folder.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use super::child::{Service, command, free_port};
use super::folder::Folder;
use super::programs::Programs;

pub struct Started {
    pub service: Service,
    /// Of the superuser.
    pub url: String,
}

/// As in production: what is committed is on disk. Small, because it shares the machine with the tests.
const SETTINGS: &[&str] = &[
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=on",
    "shared_buffers=32MB",
    "max_connections=200",
    "max_wal_size=256MB",
    "logging_collector=off",
];

pub fn start(programs: &Programs, folder: &Folder) -> Result<Started> {
    let user = programs.postgres_user.as_ref();
    let home = folder.make("postgres", user)?;
    let data = home.join("data");
    let password = uuid::Uuid::new_v4().simple().to_string();

    let mut password_file = tempfile::NamedTempFile::new_in(&home)?;
    password_file.write_all(password.as_bytes())?;
    if let Some(user) = user {
        std::os::unix::fs::chown(password_file.path(), Some(user.uid), Some(user.gid))?;
    }
    let mut initdb = command(&programs.initdb, user);
    initdb.current_dir(&home).arg("--pgdata").arg(&data).arg("--pwfile").arg(password_file.path());
    initdb.args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    let output = initdb.output().context("initdb could not be started")?;
    if !output.status.success() {
        bail!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }

    let port = free_port()?;
    let mut postgres = command(&programs.postgres, user);
    postgres.current_dir(&home).arg("-D").arg(&data).args(["-p", &port.to_string()]);
    postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
    // QUIT is PostgreSQL's immediate shutdown: nothing is written, shared memory is given back.
    let mut service = Service::start("postgres", &mut postgres, folder.log("postgres"), Signal::QUIT)?;
    service.wait_until(|| {
        let mut is_ready = std::process::Command::new(&programs.pg_isready);
        is_ready.args(["--quiet", "--host=127.0.0.1", "--port", &port.to_string()]);
        is_ready.status().is_ok_and(|status| status.success())
    })?;
    Ok(Started { service, url: format!("postgres://postgres:{password}@127.0.0.1:{port}/postgres") })
}
