//! PERF-5 and PERF-6: a new device taking everything, and one that comes back after a part has changed.

use serde_json::json;
use syncline_client::{Client, SignIn};
use syncline_core::change::Op;
use syncline_core::id::RecordId;
use syncline_server::demo;

use crate::clock;
use crate::place::StoreKind;
use crate::report::{Report, figure};
use crate::stage::{self, Stage, fields, fill, mutation};
use crate::wire::Wire;

pub async fn run(report: &mut Report, kind: StoreKind, scale: usize) -> anyhow::Result<()> {
    let count = 100_000 / scale;
    let changed = 1_000 / scale;
    let place = Stage::start(kind).await?.stop().await;
    let leads = tokio::task::block_in_place(|| fill(&place, count))?;
    let stage = Stage::start_in(place, 1).await?;

    let mut rates = Vec::new();
    let mut device = tempfile::tempdir()?;
    for _ in 0..3 {
        device = tempfile::tempdir()?;
        let client = sign_in(&stage.url, device.path()).await?;
        let start = clock::now();
        client.sync_once(stage::sync_limits()).await?;
        let seconds = start.elapsed().as_secs_f64();
        let records = client.status().await?.scopes.iter().map(|scope| scope.digest.count).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        rates.push(records as f64 / seconds);
    }
    let rate = clock::median(&mut rates);
    let rows = [json!({"leads": count, "records/s": figure(rate), "aim records/s": 30_000})];
    let title = "New device: sign-in done, empty store → everything stored, digests equal";
    report.section("hydrate", title, &["leads", "records/s", "aim records/s"], &rows);

    let held = Wire::head(&stage.url).await?;
    let changed_json = change(&stage, &leads[..changed]).await?;
    let client = Client::open(device.path()).await?;
    let start = clock::now();
    client.sync_once(stage::sync_limits()).await?;
    let elapsed = clock::millis(start.elapsed());
    let received = Wire::catch_up_bytes(&stage.url, held).await?;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let ratio = received as f64 / changed_json as f64;
    let rows = [json!({
        "changed": changed, "of": count, "ms": figure(elapsed), "bytes received": received,
        "changed fields as JSON": changed_json, "ratio": figure(ratio),
    })];
    let columns = ["changed", "of", "ms", "bytes received", "changed fields as JSON", "ratio"];
    report.section("catch_up", "Catch-up: a device comes back after a part has changed", &columns, &rows);
    stage.stop().await;
    Ok(())
}

async fn sign_in(url: &str, dir: &std::path::Path) -> anyhow::Result<Client> {
    let sign_in = SignIn {
        server: url.to_owned(),
        email: demo::USERS[0].email.to_owned(),
        password: demo::PASSWORD.to_owned(),
        workspace: None,
        device_name: "bench".to_owned(),
        schema: None,
    };
    Ok(Client::init(dir, sign_in).await?)
}

/// Changes three fields of each lead from another device; returns the bytes of the changed fields as JSON with the ids of
/// their records, which is the least a patch can say.
async fn change(stage: &Stage, leads: &[RecordId]) -> anyhow::Result<usize> {
    let mut wire = Wire::connect(&stage.url).await?;
    let mut bytes = 0;
    for (index, page) in leads.chunks(100).enumerate() {
        let ops = page.iter().enumerate().map(|(place, id)| {
            let fields = fields(json!({
                "product_interest": format!("Another product {index}-{place}"), "market": "North-West and islands",
                "notes": "Called on Monday, asked for an offer until the end of the month.",
            }));
            Op::Update { entity: "leads".into(), id: *id, base_rv: u64::from(u32::MAX), fields }
        });
        let mutations: Vec<_> = ops
            .enumerate()
            .map(|(place, op)| {
                let Op::Update { id, fields, .. } = &op else { unreachable!("all are updates") };
                bytes += json!({"id": id, "fields": fields}).to_string().len();
                mutation((index * 100 + place) as u64 + 1, vec![op])
            })
            .collect();
        wire.push(mutations).await?;
    }
    Ok(bytes)
}
