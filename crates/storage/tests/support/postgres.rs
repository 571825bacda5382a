//! A PostgreSQL to test on: the one that `SYNCLINE_TEST_POSTGRES` or `DATABASE_URL` names (a superuser's URL), else one of our
//! own, started by the first test process that needs it, shared by all, and stopped when nobody has used it for a while.
//!
//! Every test has a database of its own in it. Without a server a test fails and says what to install.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use syncline_storage::DatabaseUrl;
use syncline_storage::PostgresUrl;

const INSTALL: &str = "these tests need PostgreSQL 14 or newer: install it (`apt-get install postgresql`), or set \
    SYNCLINE_TEST_POSTGRES to the URL of a superuser on a server that may be littered with databases";
const PASSWORD: &str = "test-only";

/// An empty database, dropped with the value.
pub struct TestDatabase {
    pub url: PostgresUrl,
    /// The URL in full.
    pub text: String,
    pub name: String,
    server: String,
}

impl TestDatabase {
    pub fn new() -> Self {
        Self::on(shared_server())
    }

    /// On the server with this URL of a superuser.
    pub fn on(server: &str) -> Self {
        let name = format!("syncline_{}", uuid::Uuid::now_v7().simple());
        run(server, &format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
        let text = with_database(server, &name);
        Self { url: parse(&text), text, name, server: server.to_owned() }
    }

    /// Runs SQL as somebody else; panics when it fails.
    pub fn run(&self, sql: &str) {
        run(&self.text, sql);
    }

    /// The first column of all rows.
    pub fn query(&self, sql: &str) -> Vec<String> {
        query(&self.text, sql)
    }

    /// The same database at another address.
    pub fn at_port(&self, port: u16) -> PostgresUrl {
        let (before, after) = self.text.rsplit_once('@').unwrap();
        let (_, database) = after.split_once('/').unwrap();
        parse(&format!("{before}@127.0.0.1:{port}/{database}"))
    }

    /// Host and port of the server.
    pub fn address(&self) -> String {
        let after = self.text.rsplit_once('@').unwrap().1;
        after.split_once('/').unwrap().0.to_owned()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        // A server that a test has stopped has nothing to drop.
        let _ = std::panic::catch_unwind(|| try_run(&server, &sql));
    }
}

pub fn parse(text: &str) -> PostgresUrl {
    match text.parse() {
        Ok(DatabaseUrl::Postgres(url)) => url,
        other => panic!("not a PostgreSQL URL: {other:?}"),
    }
}

fn with_database(server: &str, name: &str) -> String {
    let (before, query) = server.split_once('?').map_or((server, String::new()), |(url, q)| (url, format!("?{q}")));
    let host = before.rfind('@').unwrap_or_default();
    let end = before[host..].find('/').map_or(before.len(), |at| host + at);
    format!("{}/{name}{query}", &before[..end])
}

/// Messages of a connection made for this; the last is an error's.
pub fn try_run(url: &str, sql: &str) -> Result<Vec<tokio_postgres::SimpleQueryMessage>, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let connection = tokio::spawn(connection);
        let result = client.simple_query(sql).await;
        drop(client);
        let _ = connection.await;
        result
    })
}

pub fn run(url: &str, sql: &str) {
    try_run(url, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

pub fn query(url: &str, sql: &str) -> Vec<String> {
    let messages = try_run(url, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    let row = |message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
        _ => None,
    };
    messages.into_iter().filter_map(row).collect()
}

/// URL of the server that all tests share.
pub fn shared_server() -> &'static str {
    static URL: OnceLock<String> = OnceLock::new();
    URL.get_or_init(|| {
        let given = ["SYNCLINE_TEST_POSTGRES", "DATABASE_URL"].into_iter().find_map(|name| std::env::var(name).ok());
        given.filter(|url| url.starts_with("postgres")).unwrap_or_else(start_shared)
    })
}

/// Starts the shared server, or finds it running. This process counts as a user of it until it ends.
fn start_shared() -> String {
    let folder = std::env::temp_dir().join(format!("syncline-test-postgres-{}", current_user()));
    std::fs::create_dir_all(&folder).unwrap();
    let start = File::create(folder.join("start.lock")).unwrap();
    start.lock().unwrap();
    let users = File::create(folder.join("users.lock")).unwrap();
    users.lock_shared().unwrap();
    // Held until this process ends.
    std::mem::forget(users);
    let url_file = folder.join("url");
    let known = std::fs::read_to_string(&url_file).ok();
    if let Some(url) = known.filter(|url| try_run(url, "SELECT 1").is_ok()) {
        return url;
    }
    let cluster = Cluster::start(folder.join("cluster"));
    std::fs::write(&url_file, cluster.url()).unwrap();
    // When nobody holds `users.lock` any more, the server goes and its files with it.
    let reaper = format!(
        "while sleep 15; do flock -n -x '{0}/users.lock' sh -c \"{1} stop -m immediate; rm -rf '{0}/cluster' '{0}/url'\" && exit; done",
        folder.display(),
        cluster.pg_ctl()
    );
    Command::new("setsid")
        .args(["--fork", "sh", "-c", &reaper])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    let url = cluster.url();
    std::mem::forget(cluster);
    url
}

fn current_user() -> String {
    let output = Command::new("id").arg("-u").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A server of our own, stopped with the value.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
}

impl Cluster {
    /// A new one in `folder`, which is replaced.
    pub fn start(folder: PathBuf) -> Self {
        let programs = programs().unwrap_or_else(|| panic!("{INSTALL}"));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        if current_user() == "0" {
            sh(&format!("chown -R postgres '{}'", folder.display()));
        }
        let cluster = Self { folder, port, programs };
        let Self { folder, programs, .. } = &cluster;
        let (folder, programs) = (folder.display(), programs.display());
        cluster.as_owner(&format!(
            "'{programs}/initdb' -D '{folder}/data' -U postgres -A scram-sha-256 --pwfile='{folder}/password' -E UTF8 \
             --locale=C --no-instructions"
        ));
        cluster.up();
        cluster
    }

    pub fn up(&self) {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=on -c max_connections=300 \
             -c shared_buffers=128MB -c max_prepared_transactions=0",
            self.port
        );
        let folder = self.folder.display();
        self.as_owner(&format!("{} -w -t 60 -l '{folder}/log' -o '{options}' start", self.plain_pg_ctl()));
    }

    /// As a crash would: nothing is finished.
    pub fn down(&self) {
        self.as_owner(&format!("{} -w -m immediate stop", self.plain_pg_ctl()));
    }

    /// URL of its superuser.
    pub fn url(&self) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    fn plain_pg_ctl(&self) -> String {
        format!("'{}/pg_ctl' -s -D '{}/data'", self.programs.display(), self.folder.display())
    }

    fn pg_ctl(&self) -> String {
        format!("{}{}", owner_prefix(), self.plain_pg_ctl())
    }

    /// PostgreSQL refuses to run as root.
    fn as_owner(&self, command: &str) {
        sh(&format!("cd / && {}{command}", owner_prefix()));
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stop = format!("cd / && {} -m immediate stop", self.pg_ctl());
        let _ = Command::new("sh").args(["-c", &stop]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn owner_prefix() -> &'static str {
    if current_user() == "0" { "runuser -u postgres -- " } else { "" }
}

fn sh(command: &str) {
    // To a file, not a pipe: a server keeps what it inherits open, and a pipe would never end.
    let log = std::env::temp_dir().join(format!("syncline-test-{}.log", uuid::Uuid::now_v7().simple()));
    let file = File::create(&log).unwrap();
    let status = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let _ = std::fs::remove_file(&log);
    assert!(status.success(), "{command}\n{said}");
}

/// Where `initdb` is.
fn programs() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_initdb = |folder: &PathBuf| folder.join("initdb").is_file();
    if let Some(folder) = std::env::split_paths(&path).find(has_initdb) {
        return Some(folder);
    }
    let version = |folder: &Path| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path());
    let newest = installed.filter(|folder| has_initdb(&folder.join("bin"))).max_by_key(|folder| version(folder))?;
    Some(newest.join("bin"))
}
