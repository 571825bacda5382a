//! Pages of lists: the typed table finds and sorts ids, and only the page's records are read whole.

use std::collections::HashMap;

use syncline_core::Value;
use syncline_core::id::RecordId;
use syncline_core::principal::Grants;
use syncline_core::record::Record;
use syncline_core::schema::{Field, FieldType};
use syncline_core::storage::{ListQuery, StoreResult};
use tokio_postgres::types::Type;

use super::error::corrupt;
use super::layout::{SetIndex, Table, is_long, prefix, quoted};
use super::rows;
use super::values::{ColumnKind, escaped, int, key_text};
use super::view::View;
use super::wire::{Param, integer, small_integers, text, texts, uuid, uuids};
use crate::list_sql::{Dialect, conditions_and_order};

pub(super) fn list(view: &View<'_>, query: &ListQuery) -> StoreResult<Vec<Record>> {
    let declared = query.declared(&view.layout.schema)?;
    let Some(table) = view.layout.table(&query.entity) else { return Ok(Vec::new()) };
    let mut bound = Bound { table, params: Vec::new() };
    let Some((conditions, order)) = conditions_and_order(declared, query, &mut bound) else { return Ok(Vec::new()) };
    let limit = bound.push(integer(int(query.limit as u64)));
    let conditions: String = conditions.iter().map(|condition| format!(" AND {condition}")).collect();
    let sql = format!(
        "SELECT t.id FROM {} t WHERE t.workspace_id = $1{conditions} ORDER BY {order} LIMIT {limit}",
        quoted(&query.entity)
    );
    let ids = view.all(&sql, bound.params, |row| rows::record_id(row, 0))?;
    let params = [text(query.entity.as_str()), uuids(ids.iter().map(|id| id.0).collect())];
    let records = view.all(&table.select_records, params, |row| rows::record(table, row))?;
    let mut by_id: HashMap<RecordId, Record> = records.into_iter().map(|record| (record.id, record)).collect();
    let whole = |id| by_id.remove(&id).ok_or_else(|| corrupt(format!("{} {id} has no sync row", query.entity)));
    ids.into_iter().map(whole).collect()
}

/// Parameters after the workspace, in the order of their numbers.
struct Bound<'a> {
    table: &'a Table,
    params: Vec<Param>,
}

impl Bound<'_> {
    fn push(&mut self, param: Param) -> String {
        self.params.push(param);
        // `$1` is the workspace.
        format!("${}", self.params.len() + 1)
    }
}

impl Dialect for Bound<'_> {
    fn bind(&mut self, field: &Field, value: &Value) -> Option<String> {
        let kind = ColumnKind::of(&field.kind);
        let param: Param = match kind {
            ColumnKind::Uuid => uuid(value.as_str()?.parse().ok()?),
            ColumnKind::Integer => integer(value.as_i64()?),
            ColumnKind::Boolean => (Box::new(value.as_bool()?), Type::BOOL),
            ColumnKind::Text => text(kind.text(value)?),
            ColumnKind::Decimal => text(value.as_str().filter(|text| is_decimal(text))?),
            // The server would answer what it cannot parse with an error, not with nothing.
            ColumnKind::Date | ColumnKind::Timestamp => {
                field.kind.canonical(value.clone()).ok()?;
                text(value.as_str()?)
            }
            ColumnKind::Json => return None,
        };
        let number = self.push(param);
        let sent = kind.cast(&number);
        // Otherwise the database's own collation, which may fold more letters and sort in another way.
        Some(if kind == ColumnKind::Text { format!("({sent} COLLATE \"C\")") } else { sent })
    }

    fn bind_text(&mut self, value: &str) -> String {
        let number = self.push(text(escaped(value)));
        format!("({number} COLLATE \"C\")")
    }

    fn bind_id(&mut self, id: RecordId) -> String {
        self.push(uuid(id.0))
    }

    fn column(&self, field: &Field) -> String {
        format!("t.{}", quoted(&field.name))
    }

    fn is_one_of(&self, field: &Field, values: &[String]) -> String {
        let column = self.column(field);
        let is_whole = format!("{column} IN ({})", values.join(", "));
        if !is_long(field) {
            return is_whole;
        }
        // Only the beginning is indexed.
        let beginnings: Vec<String> = values.iter().map(|value| prefix(value)).collect();
        format!("{} IN ({}) AND {is_whole}", prefix(&column), beginnings.join(", "))
    }

    fn sorted(&self, field: &Field, value: &str) -> Vec<String> {
        match &field.kind {
            FieldType::Text { .. } | FieldType::Choice { .. } => vec![format!("lower({value})"), value.to_owned()],
            FieldType::Integer { .. }
            | FieldType::Counter
            | FieldType::Decimal { .. }
            | FieldType::Boolean
            | FieldType::Date
            | FieldType::Timestamp
            | FieldType::Uuid
            | FieldType::Json { .. }
            | FieldType::Set { .. } => vec![value.to_owned()],
        }
    }

    /// Of ASCII letters only: the columns have the collation `C`.
    fn lower(&self, text: &str) -> String {
        format!("lower({text})")
    }

    fn begins(&self, text: &str, start: &str) -> String {
        format!("starts_with({text}, {start})")
    }

    fn json_contains(&self, field: &Field, text: &str) -> String {
        format!("strpos({}::text COLLATE \"C\", {text}) > 0", self.column(field))
    }

    fn is_in_set_index(&mut self, field: &Field, items: &[&str]) -> Option<String> {
        let of_field = |set: &&SetIndex| self.table.columns[set.column].field == field.name;
        let no = self.table.sets.iter().find(of_field)?.no;
        let no = self.push(small_integers(vec![no]));
        let keys = self.push(texts(items.iter().map(|item| key_text(item)).collect()));
        Some(format!(
            "t.id IN (SELECT k.record_id FROM sync_keys k
             WHERE k.workspace_id = $1 AND k.index_no = ANY ({no}) AND k.key = ANY ({keys}))"
        ))
    }

    fn is_granted(&mut self, query: &ListQuery) -> Option<String> {
        let scopes = match &query.grants {
            Grants::All => return None,
            Grants::Scopes(scopes) => scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        };
        let (entity, scopes) = (self.push(text(query.entity.as_str())), self.push(texts(scopes)));
        Some(format!(
            "EXISTS (SELECT 1 FROM sync_records r WHERE r.workspace_id = t.workspace_id AND r.entity = {entity}
             AND r.record_id = t.id AND r.scope = ANY ({scopes}))"
        ))
    }
}

fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_number(whole) && is_number(fraction)
}
