//! The switch by which every test of the server runs on PostgreSQL: `SYNCLINE_TEST_STORE=postgres`, with a server of
//! databases in `SYNCLINE_TEST_POSTGRES` (`cargo xtask services -- COMMAND` starts one).

use std::process::Command;

/// A database of its own for one test; it goes with the value.
pub struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// `None`: the tests run on the embedded database.
    pub fn wanted() -> Option<Self> {
        match std::env::var("SYNCLINE_TEST_STORE").as_deref() {
            Ok("postgres") => Some(Self::create()),
            Ok("sqlite" | "") | Err(_) => None,
            Ok(other) => panic!("SYNCLINE_TEST_STORE={other}: say postgres or sqlite"),
        }
    }

    fn create() -> Self {
        let server = std::env::var("SYNCLINE_TEST_POSTGRES");
        let server = server.expect("SYNCLINE_TEST_POSTGRES names no server: run `cargo xtask services -- COMMAND`");
        let name = format!("test_{}", uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, &seed()).simple());
        let database = Self { server, name };
        assert!(database.run(&format!("CREATE DATABASE {}", database.name)), "no database could be made");
        database
    }

    pub fn url(&self) -> String {
        let (server, _) = self.server.rsplit_once('/').expect("the URL ends with a database");
        format!("{server}/{}", self.name)
    }

    /// Runs a statement in it, past the server under test.
    pub fn sql(&self, sql: &str) {
        assert!(psql(&self.url(), sql), "{sql}");
    }

    fn run(&self, sql: &str) -> bool {
        psql(&self.server, sql)
    }
}

fn psql(database: &str, sql: &str) -> bool {
    let psql = Command::new("psql").args([database, "--quiet", "--command", sql]).output();
    let output = psql.expect("psql is missing: apt-get install postgresql-client");
    output.status.success()
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.run(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

/// Differs for every database of every process.
fn seed() -> Vec<u8> {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    format!("{}/{count}/{:?}", std::process::id(), std::time::UNIX_EPOCH.elapsed()).into_bytes()
}
