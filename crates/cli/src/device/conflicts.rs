//! What waits for a person: conflicts, and changes the server refused.

use comfy_table::{Cell, Color};
use serde_json::{Value, json};
use syncline_client::{Client, ClientError};
use syncline_core::Fields;
use syncline_core::change::{CONFLICTS, Op, Resolution};
use syncline_core::id::RecordId;
use syncline_core::replica::Rejected;

use super::args::{Choice, ResolveArgs};
use super::records::done;
use super::{Exit, fields, show, usage};

pub(super) async fn list(client: &Client, with_decided: bool, is_json: bool) -> anyhow::Result<Exit> {
    let conflicts = client.conflicts(with_decided).await?;
    if is_json {
        show::json(&conflicts)?;
        return Ok(Exit::Ok);
    }
    let mut table = show::table(&["conflict", "record", "field", "mine", "theirs", "state"]);
    for conflict in &conflicts {
        let text = |name: &str| conflict.fields.get(name).and_then(Value::as_str).unwrap_or("");
        let side = |side: &str, field: &str| match conflict.fields.get(side) {
            None | Some(Value::Null) => "(deleted)".to_owned(),
            Some(values) => show::short(&values.get(field).map_or_else(|| "—".to_owned(), Value::to_string)),
        };
        let names = conflict.fields.get("fields").and_then(Value::as_array).into_iter().flatten();
        let names: Vec<&str> = names.filter_map(Value::as_str).collect();
        let lines = |with: &dyn Fn(&str) -> String| names.iter().map(|name| with(name)).collect::<Vec<_>>().join("\n");
        let state = match text("state") {
            "open" => Cell::new("open").fg(Color::Red),
            "auto_resolved" => Cell::new(format!("decided by {}", text("strategy"))).fg(Color::Yellow),
            other => Cell::new(format!("{other} {}", text("resolution"))).fg(Color::Green),
        };
        table.add_row([
            Cell::new(conflict.id).fg(Color::Cyan),
            Cell::new(format!("{}\n{}", text("entity"), text("record_id"))),
            Cell::new(names.join("\n")),
            Cell::new(lines(&|name| side("mine", name))),
            Cell::new(lines(&|name| side("theirs", name))),
            state,
        ]);
    }
    show::print(&table);
    println!("{} conflicts", conflicts.len());
    Ok(Exit::Ok)
}

pub(super) async fn resolve(client: &Client, args: &ResolveArgs, is_json: bool) -> anyhow::Result<Exit> {
    let found = client.get(CONFLICTS, args.conflict).await?;
    let found = found.ok_or(ClientError::NoSuchConflict(args.conflict))?;
    let values = match (args.choice, args.assignments.is_empty()) {
        (Choice::Custom, true) => return Err(usage("`custom` needs at least one FIELD=VALUE")),
        (Choice::Mine | Choice::Theirs, false) => return Err(usage("values are for `custom`")),
        (Choice::Mine | Choice::Theirs, true) => Fields::new(),
        (Choice::Custom, false) => {
            let about = found.fields.get("entity").and_then(Value::as_str).unwrap_or("");
            fields::assignments(fields::entity(client.schema(), about)?, &args.assignments)?
        }
    };
    let client_seq = client.resolve(args.conflict, args.choice.into(), values).await?;
    let answer = json!({"conflict": args.conflict, "client_seq": client_seq});
    done(is_json, answer, &format!("decided conflict {}", args.conflict))
}

pub(super) async fn undo(client: &Client, conflict: RecordId, is_json: bool) -> anyhow::Result<Exit> {
    let resolution = client.undo(conflict).await?;
    let side = match resolution {
        Resolution::UseMine => "mine",
        Resolution::UseTheirs => "theirs",
        Resolution::Custom => "custom",
    };
    let answer = json!({"conflict": conflict, "resolution": resolution});
    done(is_json, answer, &format!("conflict {conflict} now stands at `{side}`"))
}

pub(super) async fn rejected(client: &Client, is_json: bool) -> anyhow::Result<Exit> {
    let rejected = client.rejected().await?;
    if is_json {
        show::json(&rejected)?;
        return Ok(Exit::Ok);
    }
    let mut table = show::table(&["no", "edited", "change", "reason", "what to do"]);
    for Rejected { mutation, authored_ms, outcome } in &rejected {
        table.add_row([
            Cell::new(mutation.client_seq).fg(Color::Cyan),
            Cell::new(show::moment(*authored_ms)),
            Cell::new(mutation.ops.iter().map(op).collect::<Vec<_>>().join("\n")),
            Cell::new(outcome.code.map_or("", |code| code.as_str())).fg(Color::Red),
            Cell::new(outcome.detail.as_deref().unwrap_or("")),
        ]);
    }
    show::print(&table);
    println!("{} rejected changes; `rejected resend NO FIELD=VALUE` or `rejected discard NO`", rejected.len());
    Ok(Exit::Ok)
}

/// An op in one line.
fn op(op: &Op) -> String {
    let (entity, id) = op.target();
    let (verb, fields) = match op {
        Op::Create { fields, .. } => ("create", Some(fields)),
        Op::Update { fields, .. } => ("update", Some(fields)),
        Op::Delete { .. } => ("delete", None),
        Op::Restore { fields, .. } => ("restore", Some(fields)),
        Op::Resolve { fields, .. } => ("resolve", Some(fields)),
    };
    let values = fields.into_iter().flatten().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
    format!("{verb} {entity} {id}{}", show::short(&values))
}

pub(super) async fn discard(client: &Client, client_seq: u64, is_json: bool) -> anyhow::Result<Exit> {
    if !client.rejected().await?.iter().any(|rejected| rejected.mutation.client_seq == client_seq) {
        anyhow::bail!("there is no rejected change {client_seq}; `rejected list` shows them");
    }
    client.discard_rejected(client_seq).await?;
    if is_json {
        show::json(&json!({"discarded": client_seq}))?;
    } else {
        println!("forgot rejected change {client_seq}");
    }
    Ok(Exit::Ok)
}

pub(super) async fn resend(
    client: &Client,
    client_seq: u64,
    assignments: &[String],
    is_json: bool,
) -> anyhow::Result<Exit> {
    let rejected = client.rejected().await?;
    let Some(found) = rejected.iter().find(|rejected| rejected.mutation.client_seq == client_seq) else {
        anyhow::bail!("there is no rejected change {client_seq}; `rejected list` shows them");
    };
    let changes = match found.mutation.ops.first() {
        Some(first) if !assignments.is_empty() => {
            fields::assignments(fields::entity(client.schema(), first.target().0)?, assignments)?
        }
        _ => Fields::new(),
    };
    let new_seq = client.resend_rejected(client_seq, changes).await?;
    done(is_json, json!({"client_seq": new_seq}), &format!("change {client_seq} is change {new_seq} now"))
}
