//! Servers that are not as they should be: one clear sentence each.

use syncline_core::storage::{StoreError, contract};
use syncline_storage::postgres::StartupError;
use syncline_storage::{PostgresOptions, PostgresStore};

use crate::server::{self, TestDatabase, parse};

/// The whole text of the error of opening `url`.
fn refusal(url: &str) -> (String, Option<&'static str>) {
    let options = PostgresOptions { retry_ms: 100, connect_timeout_ms: 1_000, ..PostgresOptions::default() };
    match PostgresStore::open(&parse(url), contract::schema(), options) {
        Ok(_) => panic!("{url} was opened"),
        Err(StoreError::Database(source)) => {
            let kind = source.downcast_ref::<StartupError>().map(|error| match error {
                StartupError::Url(_) => "url",
                StartupError::Credentials { .. } => "credentials",
                StartupError::NoDatabase { .. } => "no database",
                StartupError::TooOld { .. } => "too old",
                StartupError::ReadOnly { .. } => "read-only",
                StartupError::Encoding { .. } => "encoding",
                StartupError::NoCreateRight { .. } => "no right",
                StartupError::NoSchema { .. } => "no schema",
                StartupError::Tls(_) => "tls",
            });
            (source.to_string(), kind)
        }
        Err(other) => (other.to_string(), None),
    }
}

#[test]
fn sto_1_what_is_wrong_with_a_server_is_said_in_one_sentence() {
    let database = TestDatabase::new();
    let address = database.address();
    let name = &database.name;
    let role = format!("role_{name}");
    database.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'hunter2'"));
    let sql_ascii = format!("{name}_ascii");
    database.run(&format!(
        "CREATE DATABASE {sql_ascii} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
    ));
    let standby = format!("{name}_standby");
    database.run(&format!("CREATE DATABASE {standby} TEMPLATE template0 ENCODING 'UTF8'"));
    database.run(&format!("ALTER DATABASE {standby} SET default_transaction_read_only = on"));
    let table = [
        (format!("postgres://{role}:hunter3@{address}/{name}"), Some("credentials"), "user name or password"),
        (format!("postgres://nobody:hunter2@{address}/{name}"), Some("credentials"), "user name or password"),
        (format!("postgres://{role}@{address}/{name}"), Some("credentials"), "user name or password"),
        (format!("postgres://{role}:hunter2@{address}/no_such"), Some("no database"), "CREATE DATABASE"),
        (format!("postgres://{role}:hunter2@{address}/{name}"), Some("no right"), "GRANT CREATE"),
        (database.text.replace(name, &sql_ascii), Some("encoding"), "UTF8"),
        (database.text.replace(name, &standby), Some("read-only"), "primary"),
        (format!("postgres://{role}:hunter2@127.0.0.1:1/{name}"), None, "cannot be reached"),
        (format!("postgres://{role}:hunter2@no-such-host.invalid/{name}"), None, "cannot be reached"),
        (format!("{}?sslmode=require", database.text), Some("tls"), "TLS"),
        (format!("{}?sslmode=verify-full&sslrootcert=/no/such.pem", database.text), Some("tls"), "/no/such.pem"),
    ];
    for (url, kind, part) in table {
        let (said, is) = refusal(&url);
        assert_eq!(is, kind, "{url}: {said}");
        assert!(said.contains(part) && !said.contains("hunter"), "{url}: {said}");
    }
    for other in [sql_ascii, standby] {
        server::run(&database.text, &format!("DROP DATABASE {other}"));
    }
    database.run(&format!("DROP ROLE {role}"));
}

#[test]
fn sto_1_names_that_postgresql_keeps_for_itself_are_refused() {
    let text = "version = 1\n[roles]\nagent = 30\n[entities.things]\ntier = \"normal\"\nscope = [\"workspace\"]
        create = \"agent\"\nupdate = \"agent\"\ndelete = \"agent\"\n[entities.things.fields]\nxmin = { type = \"text\" }\n";
    let schema = std::sync::Arc::new(syncline_core::schema::Schema::parse(text, "test.toml").unwrap());
    let database = TestDatabase::new();
    let opened = PostgresStore::open(&database.url, schema, PostgresOptions::default()).map(drop);
    let Err(StoreError::Database(source)) = opened else { panic!("{opened:?}") };
    assert!(source.to_string().contains("things.xmin"), "{source}");
}
