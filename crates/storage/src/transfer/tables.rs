//! The tables of both databases, as far as they are copied. `sync_indexes` and `sync_keys` are not: whoever opens the copy
//! fills them.

use syncline_core::schema::{FieldType, Schema};

use super::lines::Kind;

pub(super) struct Tables {
    /// Of all workspaces, needed before them.
    pub(super) shared: Vec<Table>,
    /// Each holds rows of every workspace.
    pub(super) of_workspace: Vec<Table>,
    /// Sign-in data and the server's secrets, and messages.
    pub(super) identity: Vec<Table>,
    /// Numbers and keys of indexes, which have to go before a copy.
    pub(super) derived: [&'static str; 2],
}

/// One table, whose columns on PostgreSQL are these, in this order.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    pub(super) part: Part,
}

pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    on_sqlite: OnSqlite,
}

/// What a column is on SQLite, where workspaces, entities and scopes are numbers in other tables.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OnSqlite {
    Same,
    Workspace,
    /// Known from the scope, no column.
    WorkspaceOfScope,
    Entity,
    Scope,
}

/// How the rows of one workspace are found on SQLite.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The table is copied as a whole.
    Whole,
    Id,
    Number,
    Scope,
}

impl Tables {
    pub(super) fn new(schema: &Schema) -> Self {
        use Kind::{Boolean, Escaped, Id, IdText, Integer, Plain};
        let mut of_workspace = vec![
            table("sync_workspaces", Part::Id)
                .plain("workspace_id", Plain)
                .plain("backend_id", IdText)
                .all(Integer, &["epoch", "seq", "min_seq"])
                .plain("chain", Plain)
                .plain("anchor_seq", Integer)
                .plain("anchor_chain", Plain),
            numbered("sync_scopes").plain("name", Plain).all(Integer, &["count", "sum"]),
            numbered("sync_records")
                .column("entity", Plain, OnSqlite::Entity)
                .plain("record_id", Id)
                .column("scope", Plain, OnSqlite::Scope)
                .all(Integer, &["rv", "entered", "state"])
                .all(Plain, &["versions", "fields"]),
            table("sync_departures", Part::Scope)
                .column("workspace_id", Plain, OnSqlite::WorkspaceOfScope)
                .column("scope", Plain, OnSqlite::Scope)
                .plain("seq", Integer)
                .column("entity", Plain, OnSqlite::Entity)
                .plain("record_id", Id),
            numbered("sync_log").plain("seq", Integer).all(Plain, &["entry", "hash"]),
            numbered("sync_clients")
                .all(Id, &["client_id", "user_id", "device_id"])
                .all(Integer, &["last_client_seq", "acknowledged"]),
            numbered("sync_outcomes")
                .plain("client_id", Id)
                .plain("client_seq", Integer)
                .plain("user_id", Id)
                .all(Integer, &["seq", "decided_ms"])
                .plain("is_rejected", Boolean)
                .all(Plain, &["outcome", "rejected"]),
        ];
        for entity in schema.entities.values() {
            let fields = entity.fields.values().map(|field| (field.name.as_str(), kind_of(&field.kind)));
            let typed = table(&entity.name, Part::Id).plain("workspace_id", Plain).plain("id", IdText);
            of_workspace.push(fields.fold(typed, |table, (name, kind)| table.plain(name, kind)));
        }
        let shared = vec![
            table("sync_entities", Part::Whole).plain("name", Plain),
            table("sync_schema_versions", Part::Whole)
                .plain("version", Integer)
                .plain("hash", Plain)
                .plain("at_ms", Integer),
        ];
        let identity = |name| table(name, Part::Whole).plain("workspace_id", Plain);
        let identity = vec![
            identity("auth_credentials")
                .plain("user_id", IdText)
                .all(Escaped, &["email", "email_folded", "password_hash"])
                .all(Integer, &["failed_attempts", "locked_until_ms"]),
            identity("auth_devices")
                .all(IdText, &["device_id", "user_id"])
                .plain("name", Escaped)
                .plain("deployment_mode", Plain)
                .all(Integer, &["created_ms", "last_seen_ms", "revoked_ms"]),
            identity("auth_refresh_tokens")
                .plain("token_sha256", Kind::Bytes)
                .all(IdText, &["family_id", "user_id", "device_id"])
                .all(Integer, &["created_ms", "expires_ms", "used_ms"])
                .plain("successor_sha256", Kind::Bytes)
                .plain("revoked_ms", Integer),
            identity("auth_client_status")
                .all(IdText, &["client_id", "device_id"])
                .all(Integer, &["epoch", "cursor", "pending_count", "oldest_pending_ms", "reported_ms"]),
            identity("audit_heads")
                .plain("seq", Integer)
                .plain("hash", Plain)
                .plain("anchor_seq", Integer)
                .plain("anchor_hash", Plain),
            identity("audit_log")
                .plain("seq", Integer)
                .plain("id", IdText)
                .plain("at_ms", Integer)
                .plain("event", Plain)
                .plain("user_id", IdText)
                .all(Plain, &["entry", "hash"]),
            identity("ops_alerts")
                .all(Plain, &["alert_key", "rule", "severity", "state", "summary"])
                .all(Integer, &["since_ms", "updated_ms"]),
            identity("analytics_connections")
                .all(IdText, &["connection_id", "user_id", "device_id"])
                .plain("deployment_mode", Plain)
                .all(Integer, &["opened_ms", "closed_ms"])
                .plain("reason", Plain)
                .all(Integer, &["bytes_in", "bytes_out", "mutations"])
                .plain("transport", Plain)
                .all(Integer, &["close_code", "frames_in"]),
            identity("analytics_devices").plain("day", Integer).all(IdText, &["device_id", "user_id"]).all(
                Integer,
                &["connections", "connected_ms", "bytes_in", "bytes_out", "mutations", "sync_ok", "sync_failed"],
            ),
            identity("analytics_calls")
                .plain("day", Integer)
                .plain("operation", Plain)
                .all(Integer, &["calls", "failures", "total_ms"])
                .plain("buckets", Plain),
            identity("auth_identities")
                .all(Escaped, &["provider", "subject"])
                .plain("user_id", IdText)
                .plain("linked_ms", Integer),
            identity("webhooks")
                .plain("id", IdText)
                .plain("is_incoming", Boolean)
                .all(Escaped, &["name", "url"])
                .plain("secret", Plain)
                .all(Escaped, &["events", "mapping"])
                .plain("is_enabled", Boolean)
                .plain("disabled_reason", Escaped)
                .all(Integer, &["cursor", "failures", "created_ms"])
                .plain("created_by", IdText),
            identity("webhook_deliveries")
                .all(IdText, &["id", "webhook_id"])
                .plain("event", Plain)
                .plain("payload", Escaped)
                .plain("state", Plain)
                .all(Integer, &["attempts", "next_ms", "lease_until_ms", "last_status"])
                .plain("last_error", Escaped)
                .all(Integer, &["created_ms", "updated_ms"]),
            identity(KV).plain("key", Escaped).plain("value", Kind::Bytes),
            identity("msg_workspaces").all(Integer, &["head", "kept"]),
            identity("msg_messages")
                .plain("no", Integer)
                .all(Id, &["message_id", "sender_user_id", "sender_device_id"])
                .all(Plain, &["message_type", "target"])
                .plain("priority", Integer)
                .plain("payload", Plain)
                .all(Integer, &["sent_ms", "expires_ms", "state", "ended_ms"]),
            identity("msg_deliveries")
                .plain("no", Integer)
                .all(Id, &["device_id", "user_id", "sender_device_id"])
                .all(Integer, &["priority", "state", "delivered_ms", "acknowledged_ms", "expired_ms", "changed_no"]),
            identity("msg_devices").plain("device_id", Id).plain("adopted_no", Integer),
        ];
        Self { shared, of_workspace, identity, derived: ["sync_keys", "sync_indexes"] }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Table> {
        self.shared.iter().chain(&self.of_workspace).chain(&self.identity)
    }
}

/// Holds the mark of an incomplete copy, among others.
pub(super) const KV: &str = "auth_kv";

fn kind_of(kind: &FieldType) -> Kind {
    match kind {
        FieldType::Text { .. } | FieldType::Choice { .. } => Kind::Escaped,
        FieldType::Uuid => Kind::IdText,
        FieldType::Decimal { .. } | FieldType::Date | FieldType::Json { .. } | FieldType::Set { .. } => Kind::Plain,
        FieldType::Timestamp => Kind::Timestamp,
        FieldType::Integer { .. } | FieldType::Counter => Kind::Integer,
        FieldType::Boolean => Kind::Boolean,
    }
}

fn table(name: &str, part: Part) -> Table {
    Table { name: name.to_owned(), columns: Vec::new(), part }
}

/// A table that has a number for its workspace.
fn numbered(name: &str) -> Table {
    table(name, Part::Number).column("workspace_id", Kind::Plain, OnSqlite::Workspace)
}

impl Table {
    fn column(mut self, name: &str, kind: Kind, on_sqlite: OnSqlite) -> Self {
        self.columns.push(Column { name: name.to_owned(), kind, on_sqlite });
        self
    }

    fn plain(self, name: &str, kind: Kind) -> Self {
        self.column(name, kind, OnSqlite::Same)
    }

    fn all(self, kind: Kind, names: &[&str]) -> Self {
        names.iter().fold(self, |table, name| table.plain(name, kind))
    }

    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(|column| column.kind).collect()
    }

    /// A `SELECT` of SQLite with these columns; `?1` workspace, if the table is read by workspace.
    pub(super) fn sqlite_select(&self) -> String {
        let columns = self.columns.iter().map(|column| match column.on_sqlite {
            OnSqlite::Same => format!("t.{}", quoted(&column.name)),
            OnSqlite::Workspace | OnSqlite::WorkspaceOfScope => "?1".to_owned(),
            OnSqlite::Entity => "(SELECT name FROM sync_entities WHERE no = t.entity_no)".to_owned(),
            OnSqlite::Scope => "(SELECT name FROM sync_scopes WHERE no = t.scope_no)".to_owned(),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let only = match self.part {
            Part::Whole => String::new(),
            Part::Id => " WHERE t.workspace_id = ?1".to_owned(),
            Part::Number => format!(" WHERE t.workspace_no = {WORKSPACE_NO}"),
            Part::Scope => {
                format!(" WHERE t.scope_no IN (SELECT no FROM sync_scopes WHERE workspace_no = {WORKSPACE_NO})")
            }
        };
        format!("SELECT {columns} FROM {} t{only}", quoted(&self.name))
    }

    /// An `INSERT` of SQLite with a parameter for each of these columns.
    pub(super) fn sqlite_insert(&self) -> String {
        let columns = self.columns.iter().enumerate().filter_map(|(index, column)| {
            let parameter = format!("?{}", index + 1);
            Some(match column.on_sqlite {
                OnSqlite::Same => (quoted(&column.name), parameter),
                OnSqlite::Workspace => ("workspace_no".to_owned(), WORKSPACE_NO.to_owned()),
                OnSqlite::WorkspaceOfScope => return None,
                OnSqlite::Entity => {
                    let no = format!("(SELECT no FROM sync_entities WHERE name = {parameter})");
                    ("entity_no".to_owned(), no)
                }
                OnSqlite::Scope => {
                    let named = format!("workspace_no = {WORKSPACE_NO} AND name = {parameter}");
                    ("scope_no".to_owned(), format!("(SELECT no FROM sync_scopes WHERE {named})"))
                }
            })
        });
        let (names, values): (Vec<_>, Vec<_>) = columns.unzip();
        format!("INSERT INTO {} ({}) VALUES ({})", quoted(&self.name), names.join(", "), values.join(", "))
    }

    /// What `COPY … FROM STDIN` names on PostgreSQL.
    pub(super) fn postgres_target(&self) -> String {
        let columns = self.columns.iter().map(|column| quoted(&column.name)).collect::<Vec<_>>().join(", ");
        format!("{} ({columns})", quoted(&self.name))
    }

    /// A `SELECT` of PostgreSQL with these columns.
    pub(super) fn postgres_select(&self, workspace: Option<&str>) -> String {
        let columns = self.columns.iter().map(|column| match column.kind {
            Kind::Timestamp => {
                format!("to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')", quoted(&column.name))
            }
            _ => quoted(&column.name),
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("SELECT {columns} FROM {}{}", quoted(&self.name), self.postgres_where(workspace))
    }

    pub(super) fn postgres_where(&self, workspace: Option<&str>) -> String {
        let quote = |text: &str| format!("'{}'", text.replace('\'', "''"));
        workspace.map_or(String::new(), |id| format!(" WHERE workspace_id = {}", quote(id)))
    }
}

/// `?1` is the workspace's id, also where rows are inserted: it is their first column.
const WORKSPACE_NO: &str = "(SELECT no FROM sync_workspaces WHERE workspace_id = ?1)";

/// An identifier for SQL, whatever word it is.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
