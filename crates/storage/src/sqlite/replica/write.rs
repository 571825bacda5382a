//! Writing: one step, inside one transaction, in the order of its fields.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Params, params};
use serde::Serialize;
use syncline_core::id::{RecordId, ScopeId};
use syncline_core::replica::{BaseRecord, Pending, ReplicaWrites};
use syncline_core::schema::{Entity, FieldType, Schema};
use syncline_core::{Fields, Name, Value};

use super::WriteError;

/// Numbers on the wire stay below this (spec ID-5).
const SEQ_END: u64 = 1 << 53;

/// Writes it all. `outbox_count`: mutations in the outbox before; returns those after.
pub(super) fn apply(
    conn: &Connection,
    schema: &Schema,
    writes: &ReplicaWrites,
    outbox_count: u64,
) -> Result<u64, WriteError> {
    let mut writer = Writer { conn, schema, scopes: BTreeMap::new(), json: Vec::new() };
    let mut outbox_count = if writes.wipe { 0 } else { outbox_count };
    if writes.wipe {
        let tables = ["base", "base_index", "outbox", "outbox_touch", "rejected", "acknowledged", "scopes"];
        tables.iter().try_for_each(|table| writer.run(&format!("DELETE FROM {table}"), []))?;
    }
    writes.drop_scopes.iter().try_for_each(|scope| writer.drop_scope(scope))?;
    if let Some(meta) = &writes.meta {
        let body = serde_json::to_string(meta)?;
        writer.run("INSERT OR REPLACE INTO meta (one, body) VALUES (1, ?1)", [body])?;
    }
    for (scope, state) in &writes.scopes {
        let body = serde_json::to_string(state)?;
        writer.run("INSERT OR REPLACE INTO scopes (name, body) VALUES (?1, ?2)", params![scope.as_str(), body])?;
    }
    writes.base_put.iter().try_for_each(|record| writer.put_base(record))?;
    writes.base_delete.iter().try_for_each(|(entity, id)| writer.delete_base(entity, *id))?;
    for pending in &writes.outbox_put {
        outbox_count += u64::from(writer.put_outbox(pending)?);
    }
    for client_seq in writes.outbox_delete.iter().filter_map(|client_seq| int(*client_seq).ok()) {
        let deleted = conn.prepare_cached("DELETE FROM outbox WHERE client_seq = ?1")?.execute([client_seq])?;
        outbox_count = outbox_count.saturating_sub(deleted as u64);
        writer.run("DELETE FROM outbox_touch WHERE client_seq = ?1", [client_seq])?;
    }
    for rejected in &writes.rejected_put {
        let mutation = &rejected.mutation;
        let sql = "INSERT OR REPLACE INTO rejected (mutation_id, client_seq, body) VALUES (?1, ?2, ?3)";
        let body = serde_json::to_string(rejected)?;
        writer.run(sql, params![mutation.mutation_id.as_bytes(), int(mutation.client_seq)?, body])?;
    }
    for mutation_id in &writes.rejected_delete {
        writer.run("DELETE FROM rejected WHERE mutation_id = ?1", [mutation_id.as_bytes()])?;
    }
    for pending in &writes.acknowledged_put {
        writer.put_body("acknowledged", pending.mutation.client_seq, pending)?;
    }
    if let Some(first) = writes.acknowledged_trim {
        writer.run("DELETE FROM acknowledged WHERE client_seq < ?1", [int(first)?])?;
    }
    if writes.acknowledged_clear {
        writer.run("DELETE FROM acknowledged", [])?;
    }
    Ok(outbox_count)
}

/// Rebuilds `base_index` for the fields that `schema` indexes.
pub(super) fn reindex(conn: &Connection, schema: &Schema) -> Result<(), WriteError> {
    let writer = Writer { conn, schema, scopes: BTreeMap::new(), json: Vec::new() };
    writer.run("DELETE FROM base_index", [])?;
    let mut statement = conn.prepare("SELECT entity, id, fields FROM base")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let entity: String = row.get(0)?;
        let Some(entity) = schema.entity(&entity) else { continue };
        let id: [u8; 16] = row.get(1)?;
        let fields: Fields = serde_json::from_str(&row.get::<_, String>(2)?)?;
        writer.index(entity, &id, &fields)?;
    }
    Ok(())
}

struct Writer<'a> {
    conn: &'a Connection,
    schema: &'a Schema,
    /// Numbers of the scopes met so far.
    scopes: BTreeMap<ScopeId, i64>,
    /// Encoding buffer, kept between records.
    json: Vec<u8>,
}

impl Writer<'_> {
    fn run(&self, sql: &str, params: impl Params) -> Result<(), WriteError> {
        self.conn.prepare_cached(sql)?.execute(params)?;
        Ok(())
    }

    /// Number of a scope, given now if it has none.
    fn scope_no(&mut self, scope: &ScopeId) -> Result<i64, WriteError> {
        if let Some(no) = self.scopes.get(scope) {
            return Ok(*no);
        }
        self.run("INSERT INTO scope_names (name) VALUES (?1) ON CONFLICT DO NOTHING", [scope.as_str()])?;
        let mut statement = self.conn.prepare_cached("SELECT no FROM scope_names WHERE name = ?1")?;
        let no = statement.query_row([scope.as_str()], |row| row.get(0))?;
        self.scopes.insert(scope.clone(), no);
        Ok(no)
    }

    fn put_base(&mut self, record: &BaseRecord) -> Result<(), WriteError> {
        let (scope_no, rv) = (self.scope_no(&record.scope)?, int(record.rv)?);
        self.json.clear();
        serde_json::to_writer(&mut self.json, &record.fields)?;
        let fields = str::from_utf8(&self.json).map_err(|error| WriteError::Refused(error.to_string()))?;
        let id = record.id.as_bytes();
        let sql =
            "INSERT INTO base (entity, id, rv, scope_no, fields) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
        let row = params![record.entity.as_str(), id, rv, scope_no, fields];
        let is_new = self.conn.prepare_cached(sql)?.execute(row)? == 1;
        let Some(entity) = self.schema.entity(&record.entity) else {
            return if is_new { Ok(()) } else { self.update_base(row) };
        };
        if !is_new {
            self.unindex(entity, id)?;
            self.update_base(row)?;
        }
        self.index(entity, id, &record.fields)
    }

    fn update_base(&self, row: impl Params) -> Result<(), WriteError> {
        self.run("UPDATE base SET rv = ?3, scope_no = ?4, fields = ?5 WHERE entity = ?1 AND id = ?2", row)
    }

    fn delete_base(&self, entity: &Name, id: RecordId) -> Result<(), WriteError> {
        if let Some(entity) = self.schema.entity(entity) {
            self.unindex(entity, id.as_bytes())?;
        }
        self.run("DELETE FROM base WHERE entity = ?1 AND id = ?2", params![entity.as_str(), id.as_bytes()])
    }

    /// Removes the index entries of a record that is in `base`.
    fn unindex(&self, entity: &Entity, id: &[u8; 16]) -> Result<(), WriteError> {
        if !entity.fields.values().any(|field| field.is_indexed) {
            return Ok(());
        }
        let mut statement = self.conn.prepare_cached("SELECT fields FROM base WHERE entity = ?1 AND id = ?2")?;
        let was = statement.query_row(params![entity.name.as_str(), id], |row| row.get::<_, String>(0)).optional()?;
        let Some(was) = was else { return Ok(()) };
        let was: Fields = serde_json::from_str(&was)?;
        let sql = "DELETE FROM base_index WHERE entity = ?1 AND field = ?2 AND value = ?3 AND id = ?4";
        self.for_each_key(entity, &was, |field, value| {
            self.run(sql, params![entity.name.as_str(), field.as_str(), value, id])
        })
    }

    fn index(&self, entity: &Entity, id: &[u8; 16], fields: &Fields) -> Result<(), WriteError> {
        let sql = "INSERT OR IGNORE INTO base_index (entity, field, value, id) VALUES (?1, ?2, ?3, ?4)";
        self.for_each_key(entity, fields, |field, value| {
            self.run(sql, params![entity.name.as_str(), field.as_str(), value, id])
        })
    }

    /// Calls with field and value (as JSON) of each index entry: scalars as they are, sets by element.
    fn for_each_key(
        &self,
        entity: &Entity,
        fields: &Fields,
        mut with: impl FnMut(&Name, String) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        for field in entity.fields.values().filter(|field| field.is_indexed) {
            match fields.get(&field.name) {
                None | Some(Value::Null) => {}
                Some(Value::Array(items)) if matches!(field.kind, FieldType::Set { .. }) => {
                    items.iter().try_for_each(|item| with(&field.name, item.to_string()))?;
                }
                Some(value) => with(&field.name, value.to_string())?,
            }
        }
        Ok(())
    }

    /// Deletes a scope's records with their index entries, and what is held of the scope.
    fn drop_scope(&mut self, scope: &ScopeId) -> Result<(), WriteError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT entity, id FROM base WHERE scope_no = (SELECT no FROM scope_names WHERE name = ?1)",
        )?;
        let rows =
            statement.query_map([scope.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, [u8; 16]>(1)?)))?;
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        for (entity, id) in rows {
            self.delete_base(&Name::new(entity), RecordId(uuid::Uuid::from_bytes(id)))?;
        }
        self.run("DELETE FROM scopes WHERE name = ?1", [scope.as_str()])
    }

    /// True: it was not in the outbox before.
    fn put_outbox(&mut self, pending: &Pending) -> Result<bool, WriteError> {
        let (client_seq, body) = (int(pending.mutation.client_seq)?, serde_json::to_string(pending)?);
        let sql = "UPDATE outbox SET body = ?2 WHERE client_seq = ?1";
        let is_new = self.conn.prepare_cached(sql)?.execute(params![client_seq, body])? == 0;
        if is_new {
            self.run("INSERT INTO outbox (client_seq, body) VALUES (?1, ?2)", params![client_seq, body])?;
        } else {
            self.run("DELETE FROM outbox_touch WHERE client_seq = ?1", [client_seq])?;
        }
        for (entity, id) in pending.mutation.ops.iter().map(|op| op.target()) {
            let sql = "INSERT OR IGNORE INTO outbox_touch (entity, id, client_seq) VALUES (?1, ?2, ?3)";
            self.run(sql, params![entity, id.as_bytes(), client_seq])?;
        }
        Ok(is_new)
    }

    fn put_body(&self, table: &str, client_seq: u64, body: &impl Serialize) -> Result<(), WriteError> {
        let sql = format!("INSERT OR REPLACE INTO {table} (client_seq, body) VALUES (?1, ?2)");
        self.run(&sql, params![int(client_seq)?, serde_json::to_string(body)?])
    }
}

/// A number as SQLite takes it.
fn int(number: u64) -> Result<i64, WriteError> {
    if number >= SEQ_END {
        return Err(WriteError::Refused(format!("{number} is not below 2^53")));
    }
    Ok(number.cast_signed())
}
