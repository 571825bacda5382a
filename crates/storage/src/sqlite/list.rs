//! Pages of lists: the typed table finds and sorts ids, and only the page's records are read whole.

use rusqlite::types::{ToSqlOutput, Value as Owned};
use syncline_core::Value;
use syncline_core::id::RecordId;
use syncline_core::principal::Grants;
use syncline_core::record::Record;
use syncline_core::schema::{Field, FieldType};
use syncline_core::storage::{ListQuery, Read as _, StoreResult};

use super::error::{OrFailed as _, corrupt};
use super::layout::{ID_AS_BLOB, Table, quoted};
use super::values::{ColumnKind, int, record_id};
use super::view::View;
use crate::list_sql::{Dialect, conditions_and_order};

/// Digits of a decimal that a 64-bit integer holds.
const DIGITS_MAX: u8 = 18;

pub(super) fn list(view: &View<'_>, query: &ListQuery) -> StoreResult<Vec<Record>> {
    let declared = query.declared(&view.layout.schema)?;
    let Some(table) = view.layout.table(&query.entity) else { return Ok(Vec::new()) };
    let mut bound = Bound { table, workspace_no: view.workspace.no, values: Vec::new() };
    bound.push(Owned::Text(view.workspace.id.as_str().to_owned()));
    let Some((conditions, order)) = conditions_and_order(declared, query, &mut bound) else { return Ok(Vec::new()) };
    let limit = bound.push(Owned::Integer(int(query.limit as u64)));
    let conditions: String = conditions.iter().map(|condition| format!(" AND {condition}")).collect();
    let sql = format!(
        "SELECT t.id FROM {} t WHERE t.workspace_id = ?1{conditions} ORDER BY {order} LIMIT {limit}",
        quoted(&query.entity)
    );
    let params = rusqlite::params_from_iter(bound.values);
    let ids = view.all(&sql, params, |row| record_id(row.get_ref(0).or_failed()?))?;
    let whole =
        |id| view.record(&query.entity, id)?.ok_or_else(|| corrupt(format!("{} {id} has no sync row", query.entity)));
    ids.into_iter().map(whole).collect()
}

/// Values in the order of their numbers.
struct Bound<'a> {
    table: &'a Table,
    workspace_no: i64,
    values: Vec<Owned>,
}

impl Bound<'_> {
    fn push(&mut self, value: Owned) -> String {
        self.values.push(value);
        format!("?{}", self.values.len())
    }
}

impl Dialect for Bound<'_> {
    fn bind(&mut self, field: &Field, value: &Value) -> Option<String> {
        let encoded = ColumnKind::of(&field.kind).encode(Some(value))?;
        let owned = match encoded {
            ToSqlOutput::Borrowed(value) => Owned::try_from(value).ok()?,
            ToSqlOutput::Owned(value) => value,
            _ => return None,
        };
        Some(self.push(owned))
    }

    fn bind_text(&mut self, text: &str) -> String {
        self.push(Owned::Text(text.to_owned()))
    }

    fn bind_id(&mut self, id: RecordId) -> String {
        self.push(Owned::Text(id.to_string()))
    }

    fn column(&self, field: &Field) -> String {
        format!("t.{}", quoted(&field.name))
    }

    fn is_one_of(&self, field: &Field, values: &[String]) -> String {
        format!("{} IN ({})", self.column(field), values.join(", "))
    }

    /// Decimals lie as text: of one scale, so that their digits compare as integers do, the longest in parts.
    fn sorted(&self, field: &Field, value: &str) -> Vec<String> {
        match &field.kind {
            FieldType::Text { .. } | FieldType::Choice { .. } => vec![format!("lower({value})"), value.to_owned()],
            FieldType::Decimal { precision, .. } if *precision <= DIGITS_MAX => {
                vec![format!("CAST(replace({value}, '.', '') AS INTEGER)")]
            }
            FieldType::Decimal { .. } => {
                let digits = format!("replace(replace({value}, '-', ''), '.', '')");
                let sign = format!("(CASE WHEN {value} LIKE '-%' THEN -1 ELSE 1 END)");
                let part = |first: u8| format!("{sign} * CAST(substr({digits}, {first}, {DIGITS_MAX}) AS INTEGER)");
                vec![format!("{sign} * length({digits})"), part(1), part(1 + DIGITS_MAX), part(1 + 2 * DIGITS_MAX)]
            }
            FieldType::Integer { .. }
            | FieldType::Counter
            | FieldType::Boolean
            | FieldType::Date
            | FieldType::Timestamp
            | FieldType::Uuid
            | FieldType::Json { .. }
            | FieldType::Set { .. } => vec![value.to_owned()],
        }
    }

    /// Of ASCII letters only, which is what PostgreSQL is told to do too.
    fn lower(&self, text: &str) -> String {
        format!("lower({text})")
    }

    fn begins(&self, text: &str, start: &str) -> String {
        format!("substr({text}, 1, length({start})) = {start}")
    }

    fn json_contains(&self, field: &Field, text: &str) -> String {
        format!("instr({}, {text}) > 0", self.column(field))
    }

    fn is_in_set_index(&mut self, field: &Field, items: &[&str]) -> Option<String> {
        let of_field = |set: &&super::layout::SetIndex| self.table.columns[set.column].field == field.name;
        let no = self.table.sets.iter().find(of_field)?.no;
        let (workspace_no, no) = (self.push(Owned::Integer(self.workspace_no)), self.push(Owned::Integer(no)));
        let keys: Vec<String> = items.iter().map(|item| self.bind_text(item)).collect();
        // The id as text from the blob, so that the typed table is asked by its key.
        let part = |from: u8, len: u8| format!("substr(lower(hex(record_id)), {from}, {len})");
        let id = [part(1, 8), part(9, 4), part(13, 4), part(17, 4), part(21, 12)].join(" || '-' || ");
        Some(format!(
            "t.id IN (SELECT {id} FROM sync_keys WHERE workspace_no = {workspace_no} AND index_no = {no} AND key IN ({}))",
            keys.join(", ")
        ))
    }

    fn is_granted(&mut self, query: &ListQuery) -> Option<String> {
        let scopes = match &query.grants {
            Grants::All => return None,
            Grants::Scopes(scopes) => Value::from(scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>()),
        };
        let (workspace_no, scopes) =
            (self.push(Owned::Integer(self.workspace_no)), self.bind_text(&scopes.to_string()));
        let entity_no = self.push(Owned::Integer(self.table.no));
        Some(format!(
            "EXISTS (SELECT 1 FROM sync_records r WHERE r.workspace_no = {workspace_no} AND r.entity_no = {entity_no}
             AND r.record_id = {ID_AS_BLOB} AND r.scope_no IN (SELECT no FROM sync_scopes
                 WHERE workspace_no = {workspace_no} AND name IN (SELECT value FROM json_each({scopes}))))"
        ))
    }
}
