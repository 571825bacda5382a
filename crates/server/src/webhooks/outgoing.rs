//! What a webhook is told: for each change of a record it asked for, `<entity>.created`, `.updated` or `.deleted`.

use std::sync::Arc;

use serde_json::{Value, json};
use syncline_core::Seq;
use syncline_core::change::{Change, ChangeKind, LogEntry};
use syncline_core::schema::Schema;
use syncline_core::storage::StoreResult;
use syncline_storage::sqlite::{Delivery, DeliveryState, Webhook};
use uuid::Uuid;

use crate::app::App;
use crate::clock;

/// Log entries that one step turns into deliveries.
const ENTRIES_MAX: usize = 200;
/// Deliveries of a webhook that may wait. Beyond, its position in the log stays where it is until some are through.
const PENDING_MAX: u64 = 10_000;

/// Brings every webhook on by one step.
pub(super) async fn fill(app: &Arc<App>, hooks: Vec<Webhook>) -> StoreResult<()> {
    for hook in hooks {
        let (workspace, id) = (hook.workspace_id.clone(), hook.id);
        let pending = app.auth.with_store(move |store| store.pending_deliveries(&workspace, id)).await?;
        if pending < PENDING_MAX {
            step(app, hook).await?;
        }
    }
    Ok(())
}

async fn step(app: &Arc<App>, hook: Webhook) -> StoreResult<()> {
    let cursor = hook.cursor;
    let read = move |read: &dyn syncline_core::storage::Read| {
        let head = read.head()?;
        if head.seq <= cursor {
            return Ok((cursor, Vec::new()));
        }
        // What was compacted away is gone for everybody.
        let entries = read.log(cursor.max(head.min_seq), head.seq, ENTRIES_MAX)?;
        let to = entries.last().map_or(head.seq, |last| last.seq);
        Ok((to, entries))
    };
    let (to, entries) = app.db.read(&hook.workspace_id, read).await?;
    if to == cursor {
        return Ok(());
    }
    let wanted: Vec<String> = serde_json::from_str(&hook.events).unwrap_or_default();
    let schema = app.schema();
    let deliveries: Vec<Delivery> =
        entries.iter().flat_map(|entry| deliveries_of(&schema, &hook, &wanted, entry)).collect();
    app.auth.with_store(move |store| store.enqueue_deliveries(&hook, to, &deliveries)).await?;
    Ok(())
}

fn deliveries_of(schema: &Schema, hook: &Webhook, wanted: &[String], entry: &LogEntry) -> Vec<Delivery> {
    let told = entry.changes.iter().enumerate().filter_map(|(index, change)| {
        let event = event_of(change);
        let is_wanted = wanted.iter().any(|pattern| fits(pattern, &change.entity, &event));
        is_wanted.then(|| delivery(schema, hook, entry, (index, change, event)))
    });
    told.collect()
}

fn delivery(
    schema: &Schema,
    hook: &Webhook,
    entry: &LogEntry,
    (index, change, event): (usize, &Change, String),
) -> Delivery {
    let now = clock::now_ms();
    Delivery {
        workspace_id: hook.workspace_id.clone(),
        id: message_id(hook.id, entry.seq, index),
        webhook_id: hook.id,
        payload: payload(schema, hook, entry, (change, &event)).to_string(),
        event,
        state: DeliveryState::Pending,
        attempts: 0,
        next_ms: now,
        last_status: None,
        last_error: None,
        created_ms: now,
        updated_ms: now,
    }
}

/// The same change has the same id at every node and at every attempt.
fn message_id(webhook_id: Uuid, seq: Seq, index: usize) -> Uuid {
    Uuid::new_v5(&webhook_id, format!("{seq}/{index}").as_bytes())
}

fn event_of(change: &Change) -> String {
    let what = match change.kind {
        ChangeKind::Put => "created",
        ChangeKind::Patch => "updated",
        ChangeKind::Del => "deleted",
    };
    format!("{}.{what}", change.entity)
}

/// `type`, `timestamp` and `data`, as Standard Webhooks proposes. Only declared fields are told.
fn payload(schema: &Schema, hook: &Webhook, entry: &LogEntry, (change, event): (&Change, &str)) -> Value {
    let at =
        jiff::Timestamp::from_millisecond(i64::try_from(entry.committed_ms).unwrap_or(i64::MAX)).unwrap_or_default();
    let declared = schema.entity(&change.entity);
    let fields =
        change.fields.iter().filter(|(name, _)| declared.is_some_and(|entity| entity.fields.contains_key(*name)));
    let fields: serde_json::Map<String, Value> =
        fields.map(|(name, value)| (name.to_string(), value.clone())).collect();
    json!({
        "type": event,
        "timestamp": format!("{at:.3}"),
        "data": {
            "workspace_id": hook.workspace_id, "entity": change.entity, "id": change.id, "seq": entry.seq,
            "user_id": entry.user_id, "fields": fields,
        },
    })
}

/// `*`, `<entity>.*` or an event.
fn fits(pattern: &str, entity: &str, event: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(of) => of == entity,
        None => pattern == "*" || pattern == event,
    }
}

/// Whether a webhook may ask for this: of an entity of the schema, if it names one.
pub fn is_event_pattern(schema: &Schema, pattern: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let Some((entity, what)) = pattern.split_once('.') else { return false };
    schema.entity(entity).is_some() && matches!(what, "*" | "created" | "updated" | "deleted")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_7_a_webhook_gets_what_it_asked_for() {
        let table = [
            ("*", true),
            ("contacts.*", true),
            ("contacts.updated", true),
            ("contacts.created", false),
            ("leads.*", false),
            ("contact.*", false),
        ];
        for (pattern, expected) in table {
            assert_eq!(fits(pattern, "contacts", "contacts.updated"), expected, "{pattern}");
        }
        let schema = Schema::crm();
        for wrong in ["", "contacts", "nothing.*", "contacts.seen", "*.created", "contacts.updated.x"] {
            assert!(!is_event_pattern(&schema, wrong), "{wrong}");
        }
        assert!(is_event_pattern(&schema, "*") && is_event_pattern(&schema, "leads.deleted"));
    }
}
