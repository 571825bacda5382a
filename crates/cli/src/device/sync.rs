//! Signing in, syncing, and where a device stands.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use comfy_table::{Cell, Color};
use serde_json::{Value, json};
use syncline_client::{Client, SignIn, Status, SyncEnd, SyncLimits};
use syncline_core::session::client::Event;
use tokio::sync::broadcast::error::RecvError;

use super::args::{InitArgs, SyncArgs};
use super::{Exit, fields, show, usage};

pub(super) async fn init(dir: &Path, args: InitArgs, is_json: bool) -> anyhow::Result<Exit> {
    let password = match args.password_stdin {
        true => fields::text_of(Path::new("-"))?.trim_end_matches(['\r', '\n']).to_owned(),
        false => std::env::var("SYNCLINE_PASSWORD").map_err(|_| {
            usage("set SYNCLINE_PASSWORD, or give the password on standard input with --password-stdin")
        })?,
    };
    let schema = args.schema.as_deref().map(fields::text_of).transpose()?;
    let InitArgs { server, email, workspace, name, .. } = args;
    let sign_in = SignIn { server, email, password, workspace, device_name: name, schema };
    let client = Client::init(dir, sign_in).await?;
    let status = client.status().await;
    client.close().await;
    let status = status?;
    if is_json {
        show::json(&status)?;
    } else {
        let role = status.role.as_deref().unwrap_or("member");
        println!("signed in to {} as {role}; this device is {}", status.workspace_id, status.device_id);
        println!("next: syncline device sync --dir {}", dir.display());
    }
    Ok(Exit::Ok)
}

pub(super) async fn sync(client: &Client, args: &SyncArgs, is_json: bool) -> anyhow::Result<Exit> {
    let end = if args.watch {
        watch(client, is_json).await?
    } else {
        let limits = SyncLimits { deadline: Duration::from_secs(args.timeout), attempts_max: args.attempts };
        client.sync_once(limits).await?
    };
    let status = client.status().await?;
    let (word, text, exit) = match &end {
        SyncEnd::Synced => ("synced", "synced".to_owned(), exit_of(&status)),
        SyncEnd::Cancelled => ("cancelled", "stopped".to_owned(), exit_of(&status)),
        SyncEnd::NotSynced { reason } => ("not_synced", format!("not synced: {reason}"), Exit::NotSynced),
        SyncEnd::SignInNeeded { reason } if status.is_revoked => {
            ("sign_in_needed", format!("access was withdrawn: {reason}"), Exit::Revoked)
        }
        SyncEnd::SignInNeeded { reason } => ("sign_in_needed", format!("sign in again: {reason}"), Exit::Error),
        SyncEnd::Purged { code } => (
            "purged",
            format!("access was withdrawn ({}); this device's copy is deleted", code.as_str()),
            Exit::Revoked,
        ),
        SyncEnd::Stopped { code } => {
            ("stopped", format!("syncing stopped ({}); unsent changes are kept", code.as_str()), Exit::Error)
        }
    };
    if is_json {
        show::json(&json!({
            "end": word, "message": text, "cursor": status.cursor, "epoch": status.epoch, "pending": status.pending,
            "rejected": status.rejected, "open_conflicts": status.open_conflicts, "repairs": status.repairs,
            "records": status.records,
        }))?;
        return Ok(exit);
    }
    let records: u64 = status.records.values().sum();
    println!("{text}: {records} records at seq {}, {} pending", status.cursor, status.pending);
    hint(&status);
    Ok(exit)
}

/// Says what happens until Ctrl-C.
async fn watch(client: &Client, is_json: bool) -> anyhow::Result<SyncEnd> {
    let mut events = client.events();
    let cancel = async {
        // Without a signal handler there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let tell = async {
        loop {
            match events.recv().await {
                Ok(event) => say(&event, is_json)?,
                Err(RecvError::Lagged(count)) => tracing::debug!(count, "events were not shown"),
                Err(RecvError::Closed) => return Ok::<SyncEnd, anyhow::Error>(SyncEnd::Cancelled),
            }
        }
    };
    tokio::select! {
        end = client.run(cancel) => end.context("syncing failed"),
        end = tell => end,
    }
}

fn say(event: &Event, is_json: bool) -> anyhow::Result<()> {
    let value = serde_json::to_value(event)?;
    if is_json {
        return show::json(&value);
    }
    let at = show::moment(syncline_client::now_ms());
    let details = value.as_object().into_iter().flatten().filter(|(name, _)| *name != "event");
    let details = details.map(|(name, value)| format!(" {name} {value}")).collect::<String>();
    println!("{at}  {}{details}", value["event"].as_str().unwrap_or(""));
    Ok(())
}

/// Whether something waits for a person.
fn exit_of(status: &Status) -> Exit {
    if status.is_revoked {
        Exit::Revoked
    } else if status.open_conflicts > 0 || status.rejected > 0 {
        Exit::NeedsPerson
    } else {
        Exit::Ok
    }
}

fn hint(status: &Status) {
    if status.open_conflicts > 0 {
        println!("{} conflicts wait for a decision: syncline device conflicts", status.open_conflicts);
    }
    if status.rejected > 0 {
        println!("{} changes were refused: syncline device rejected", status.rejected);
    }
}

pub(super) async fn status(client: &Client, is_json: bool) -> anyhow::Result<Exit> {
    let status = client.status().await?;
    if is_json {
        show::json(&status)?;
        return Ok(exit_of(&status));
    }
    let number = |count: u64, color| if count > 0 { Cell::new(count).fg(color) } else { Cell::new(0) };
    let text = |text: &Option<String>| show::cell(&text.as_deref().map_or(Value::Null, Value::from));
    let records: u64 = status.records.values().sum();
    let loading = status.scopes.iter().filter(|scope| scope.loading.is_some()).count();
    let lease = if status.is_locked {
        Cell::new("locked: sync to unlock").fg(Color::Red)
    } else {
        Cell::new(show::moment(status.lease_until_ms))
    };
    let mut table = show::table(&["what", "value"]);
    table.add_row(["workspace".into(), Cell::new(&status.workspace_id)]);
    table.add_row(["server".into(), text(&status.server)]);
    table.add_row(["signed in as".into(), text(&status.email)]);
    table.add_row(["device".into(), Cell::new(status.device_id)]);
    table.add_row(["records".into(), Cell::new(records)]);
    table.add_row(["scopes".into(), Cell::new(format!("{} ({loading} loading)", status.scopes.len()))]);
    table.add_row(["last sync".into(), Cell::new(show::moment(status.last_sync_ms))]);
    table.add_row(["seq".into(), Cell::new(status.cursor)]);
    table.add_row(["pending".into(), number(status.pending, Color::Yellow)]);
    table.add_row(["open conflicts".into(), number(status.open_conflicts, Color::Red)]);
    table.add_row(["rejected".into(), number(status.rejected, Color::Red)]);
    table.add_row(["works offline until".into(), lease]);
    table.add_row(["repairs".into(), Cell::new(status.repairs)]);
    table.add_row(["database".into(), Cell::new(format!("{} KiB", status.database_bytes / 1024))]);
    show::print(&table);
    hint(&status);
    Ok(exit_of(&status))
}
