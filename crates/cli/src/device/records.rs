//! Records: list, show, create, change, delete, and their history.

use anyhow::bail;
use comfy_table::{Cell, Color};
use serde_json::{Value, json};
use syncline_client::{Client, record_id};
use syncline_core::replica::{Edit, Query, Viewed};
use syncline_core::schema::Entity;
use syncline_core::{Name, TimestampMs};

use super::args::{CreateArgs, ListArgs, Target, UpdateArgs};
use super::{Exit, fields, show, usage};

/// Columns of a table for which none were asked for.
const COLUMNS_MAX: usize = 6;

pub(super) async fn list(client: &Client, args: &ListArgs, is_json: bool) -> anyhow::Result<Exit> {
    let entity = fields::entity(client.schema(), &args.entity)?;
    let filters = args.filters.iter().map(|text| fields::filter(entity, text)).collect::<Result<_, _>>()?;
    let sort = args.sort.as_deref().map(|text| text.trim_start_matches('-'));
    if let Some(unknown) =
        sort.into_iter().chain(args.columns.iter().map(String::as_str)).find(|name| entity.field(name).is_none())
    {
        return Err(usage(format!("{} has no field `{unknown}`", entity.name)));
    }
    let records = client
        .list(Query {
            entity: entity.name.clone(),
            filters,
            is_descending: args.sort.as_deref().is_some_and(|text| text.starts_with('-')),
            sort: sort.map(Name::new),
            limit: args.limit,
        })
        .await?;
    if is_json {
        show::json(&records)?;
        return Ok(Exit::Ok);
    }
    let columns = match args.columns.is_empty() {
        false => args.columns.iter().map(Name::new).collect(),
        true => columns(entity, &records),
    };
    let header: Vec<&str> = ["id"].into_iter().chain(columns.iter().map(Name::as_str)).chain(["state"]).collect();
    let mut table = show::table(&header);
    for record in &records {
        let values = columns.iter().map(|name| show::cell(record.fields.get(name).unwrap_or(&Value::Null)));
        let id = Cell::new(record.id).fg(Color::Cyan);
        table.add_row([id].into_iter().chain(values).chain([show::state(record)]));
    }
    show::print(&table);
    let more = if args.limit > 0 && records.len() == args.limit { " (there may be more: --limit 0)" } else { "" };
    println!("{} {}{more}", records.len(), entity.name);
    Ok(Exit::Ok)
}

/// The title, then the fields that most of the records have.
fn columns(entity: &Entity, records: &[Viewed]) -> Vec<Name> {
    let count = |name: &Name| records.iter().filter(|record| record.fields.contains_key(name)).count();
    let mut names: Vec<&Name> =
        entity.fields.values().filter(|field| !field.is_filled()).map(|field| &field.name).collect();
    let rank =
        |name: &Name| (entity.title.as_ref() != Some(name), !entity.fields[name].is_required, usize::MAX - count(name));
    names.retain(|name| count(name) > 0);
    names.sort_by_key(|name| rank(name));
    names.into_iter().take(COLUMNS_MAX).cloned().collect()
}

pub(super) async fn get(client: &Client, target: &Target, is_json: bool) -> anyhow::Result<Exit> {
    fields::entity(client.schema(), &target.entity)?;
    let Some(record) = client.get(&target.entity, target.id).await? else {
        bail!("there is no {} {} on this device", target.entity, target.id);
    };
    if is_json {
        show::json(&record)?;
    } else {
        show::record(&record);
    }
    Ok(Exit::Ok)
}

pub(super) async fn create(client: &Client, args: &CreateArgs, is_json: bool) -> anyhow::Result<Exit> {
    let entity = fields::entity(client.schema(), &args.entity)?;
    let fields = fields::values(entity, &args.values)?;
    let workspace_id = client.meta().await?.workspace_id;
    let full = entity.canonical_create(fields.clone()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let id = entity.natural_id(&workspace_id, &full).or(args.id).unwrap_or_else(record_id);
    let edit = Edit::Create { entity: entity.name.clone(), id, fields };
    let client_seq = client.mutate(vec![edit]).await?;
    done(is_json, json!({"id": id, "client_seq": client_seq}), &format!("created {} {id}", entity.name))
}

pub(super) async fn update(client: &Client, args: &UpdateArgs, is_json: bool) -> anyhow::Result<Exit> {
    let (target, entity) = (&args.target, fields::entity(client.schema(), &args.target.entity)?);
    let fields = fields::values(entity, &args.values)?;
    if fields.is_empty() {
        return Err(usage("name at least one FIELD=VALUE"));
    }
    let edit = Edit::Update { entity: entity.name.clone(), id: target.id, fields };
    let client_seq = client.mutate(vec![edit]).await?;
    done(is_json, json!({"id": target.id, "client_seq": client_seq}), &format!("changed {} {}", entity.name, target.id))
}

pub(super) async fn delete(client: &Client, target: &Target, is_json: bool) -> anyhow::Result<Exit> {
    let entity = fields::entity(client.schema(), &target.entity)?;
    let edit = Edit::Delete { entity: entity.name.clone(), id: target.id };
    let client_seq = client.mutate(vec![edit]).await?;
    done(is_json, json!({"id": target.id, "client_seq": client_seq}), &format!("deleted {} {}", entity.name, target.id))
}

/// Says what was done, and that it waits for a sync.
pub(super) fn done(is_json: bool, answer: Value, text: &str) -> anyhow::Result<Exit> {
    if is_json {
        show::json(&answer)?;
    } else {
        println!("{text}; it is kept here and goes out with the next sync");
    }
    Ok(Exit::Ok)
}

pub(super) async fn history(client: &Client, target: &Target, limit: u16, is_json: bool) -> anyhow::Result<Exit> {
    fields::entity(client.schema(), &target.entity)?;
    let history = match client.history(&target.entity, target.id, limit.into()).await {
        Err(error) if error.is_offline() => {
            return Err(anyhow::Error::new(error).context("history is kept by the server and needs a connection"));
        }
        answer => answer?,
    };
    if is_json {
        show::json(&history)?;
        return Ok(Exit::Ok);
    }
    let mut table = show::table(&["seq", "committed", "user", "role", "kind", "changes"]);
    for item in history["items"].as_array().into_iter().flatten() {
        let at_ms: TimestampMs = item["committed_ms"].as_u64().unwrap_or(0);
        let changed = item["fields"].as_object().into_iter().flatten();
        let before = |name: &str| item["before"].get(name).map_or_else(String::new, |value| format!(" (was {value})"));
        let changes = changed.map(|(name, value)| show::short(&format!("{name} = {value}{}", before(name))));
        table.add_row([
            Cell::new(&item["seq"]),
            Cell::new(show::moment(at_ms)),
            show::cell(&item["user_id"]),
            show::cell(&item["role"]),
            show::cell(&item["kind"]),
            Cell::new(changes.collect::<Vec<_>>().join("\n")),
        ]);
    }
    show::print(&table);
    Ok(Exit::Ok)
}
