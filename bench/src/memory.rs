//! Resident memory of a server process with 100,000 leads: at start, after a device took everything, after pushes.

use serde_json::json;
use syncline_client::{Client, SignIn};
use syncline_server::demo;

use crate::place::StoreKind;
use crate::process::Process;
use crate::report::{Report, figure};
use crate::stage::{self, Stage, contact, fill, mutation};
use crate::wire::Wire;

pub async fn run(report: &mut Report, kind: StoreKind, scale: usize) -> anyhow::Result<()> {
    let count = 100_000 / scale;
    let place = Stage::start(kind).await?.stop().await;
    tokio::task::block_in_place(|| fill(&place, count))?;
    let settings = place.database_url().map(|url| format!("[store]\ndatabase_url = \"{url}\"\n")).unwrap_or_default();
    let process = Process::start(place.dir.path(), None, &settings).await?;
    let url = process.url.clone();
    let mut rows = Vec::new();
    let mut add = |when: &str| {
        rows.push(json!({"when": when, "resident MiB": figure(process.resident_mib()?)}));
        anyhow::Ok(())
    };
    add("started")?;
    let device = tempfile::tempdir()?;
    let sign_in = SignIn {
        server: url.clone(),
        email: demo::USERS[0].email.to_owned(),
        password: demo::PASSWORD.to_owned(),
        workspace: None,
        device_name: "bench".to_owned(),
        schema: None,
    };
    Client::init(device.path(), sign_in).await?.sync_once(stage::sync_limits()).await?;
    add("a device took everything")?;
    let mut wire = Wire::connect(&url).await?;
    for page in 0..(100 / scale).max(1) {
        let numbers = page * 100..(page + 1) * 100;
        wire.push(numbers.map(|n| mutation(n as u64 + 1, vec![contact(n)])).collect()).await?;
    }
    add("10,000 more pushed")?;
    let title = "Memory: the server process with 100,000 leads in its database";
    report.section("memory", title, &["when", "resident MiB"], &rows);
    Ok(())
}
