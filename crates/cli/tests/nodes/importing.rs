//! An import into PostgreSQL pays for its batches in round trips, and not for its rows (IMP-1).

use std::fmt::Write as _;

use crate::support::Deployment;
use crate::support::node::syncline;

const ROWS: usize = 600;
/// A batch of 200 rows is some 25 statements; the start, what is known before and the end are about 100.
const STATEMENTS_MAX: usize = 300;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imp_1_an_import_asks_postgresql_for_batches_and_not_for_rows() {
    let mut deployment = Deployment::start_without_redis(1).await;
    deployment.nodes[0].stop().await;
    let mut csv = "Account Id,Lead Owner,First Name,Last Name,Phone 1,Email 1,Source,Deal Stage\n".to_owned();
    for number in 0..ROWS {
        let stage = ["New Lead", "Contacted", "Closed Won", "Closed Lost"][number % 4];
        writeln!(csv, "A{number:05},Dana Demo,First{number},Last,0{number:09},person{number}@example.com,Fair,{stage}")
            .unwrap();
    }
    let file = deployment.folder.path().join("leads.csv");
    std::fs::write(&file, csv).unwrap();
    deployment.postgres.query("ALTER SYSTEM SET log_statement = 'all'");
    deployment.postgres.query("SELECT pg_reload_conf()");
    for (on_match, expect) in
        [("skip", "\"created\": 600"), ("skip", "\"skipped\": 600"), ("overwrite", "\"skipped\": 600")]
    {
        let before = statements(&deployment);
        let mut import = syncline(&vec![("DATABASE_URL", deployment.postgres.url())]);
        import.arg("import").arg(&file).args([
            "--entity",
            "leads",
            "--workspace",
            "demo",
            "--on-match",
            on_match,
            "--json",
        ]);
        let output = import.arg("--data").arg(deployment.folder.path().join("operator")).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expect), "{said}{}", String::from_utf8_lossy(&output.stderr));
        let asked = statements(&deployment) - before;
        println!("{ROWS} rows, --on-match {on_match}: {asked} statements");
        // A row that changes a record asks when that record was last written.
        let rows = if on_match == "overwrite" { ROWS } else { 0 };
        assert!(asked < STATEMENTS_MAX + rows, "{asked} statements");
    }
}

fn statements(deployment: &Deployment) -> usize {
    deployment.postgres.log().lines().filter(|line| line.contains("LOG:  execute ")).count()
}
