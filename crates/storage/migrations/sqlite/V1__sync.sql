-- The sync metadata that lives beside the typed tables. Ids of records, clients, users and devices are their 16 bytes
-- here: hex(record_id) is the UUID without hyphens.

CREATE TABLE sync_workspaces (
    no           INTEGER PRIMARY KEY,   -- short for the workspace in the tables below
    workspace_id TEXT    NOT NULL UNIQUE,
    backend_id   TEXT    NOT NULL,
    epoch        INTEGER NOT NULL,
    seq          INTEGER NOT NULL,      -- head
    min_seq      INTEGER NOT NULL,
    chain        TEXT    NOT NULL,
    anchor_seq   INTEGER NOT NULL,      -- last forgotten log entry ...
    anchor_chain TEXT    NOT NULL       -- ... and its hash: the chain verifies from here
) STRICT;

CREATE TABLE sync_entities (
    no   INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE sync_scopes (
    no           INTEGER PRIMARY KEY,
    workspace_no INTEGER NOT NULL REFERENCES sync_workspaces (no),
    name         TEXT    NOT NULL,
    count        INTEGER NOT NULL DEFAULT 0,  -- digest: live records ...
    sum          INTEGER NOT NULL DEFAULT 0,  -- ... and the 64-bit sum, as signed
    UNIQUE (workspace_no, name)
) STRICT;

-- Every record and tombstone. A live record's values are in its typed table; a tombstone's last ones in `fields`.
CREATE TABLE sync_records (
    workspace_no INTEGER NOT NULL,
    entity_no    INTEGER NOT NULL,
    record_id    BLOB    NOT NULL,
    scope_no     INTEGER NOT NULL,
    rv           INTEGER NOT NULL,
    entered      INTEGER NOT NULL,
    state        INTEGER NOT NULL,            -- 0 live, 1 deleted, 2 deleted and forgotten but for its id
    versions     TEXT    NOT NULL,            -- JSON
    fields       TEXT,                        -- JSON, of a tombstone
    PRIMARY KEY (workspace_no, entity_no, record_id)
) STRICT, WITHOUT ROWID;
-- Catch-up and snapshot pages read it in this order; digest walks read nothing else.
CREATE INDEX sync_records_changed ON sync_records (scope_no, entity_no, rv, record_id, state) WHERE state < 2;
-- What compaction looks for.
CREATE INDEX sync_records_deleted ON sync_records (workspace_no, rv) WHERE state = 1;

CREATE TABLE sync_departures (
    scope_no  INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    entity_no INTEGER NOT NULL,
    record_id BLOB    NOT NULL,
    PRIMARY KEY (scope_no, seq, entity_no, record_id)
) STRICT, WITHOUT ROWID;

-- Indexes that a column cannot carry: elements of sets, and keys of uniquenesses over several or folded fields.
CREATE TABLE sync_indexes (
    no         INTEGER PRIMARY KEY,
    entity_no  INTEGER NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('set', 'unique')),
    name       TEXT    NOT NULL,
    definition TEXT    NOT NULL,              -- rebuilt when it changes
    UNIQUE (entity_no, kind, name)
) STRICT;
CREATE TABLE sync_keys (
    workspace_no INTEGER NOT NULL,
    index_no     INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    record_id    BLOB    NOT NULL,
    PRIMARY KEY (workspace_no, index_no, key, record_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_log (
    workspace_no INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    entry        TEXT    NOT NULL,            -- JSON, the very bytes that are hashed
    hash         TEXT    NOT NULL,
    PRIMARY KEY (workspace_no, seq)
) STRICT;

CREATE TABLE sync_clients (
    workspace_no    INTEGER NOT NULL,
    client_id       BLOB    NOT NULL,
    user_id         BLOB    NOT NULL,
    device_id       BLOB    NOT NULL,
    last_client_seq INTEGER NOT NULL,
    acknowledged    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_no, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE sync_outcomes (
    workspace_no INTEGER NOT NULL,
    client_id    BLOB    NOT NULL,
    client_seq   INTEGER NOT NULL,
    user_id      BLOB    NOT NULL,
    seq          INTEGER NOT NULL,
    decided_ms   INTEGER NOT NULL,
    is_rejected  INTEGER NOT NULL,
    outcome      TEXT    NOT NULL,            -- JSON
    rejected     TEXT,                        -- JSON, the mutation
    PRIMARY KEY (workspace_no, client_id, client_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX sync_outcomes_rejected ON sync_outcomes (workspace_no, decided_ms, client_id, client_seq)
    WHERE is_rejected = 1;

CREATE TABLE sync_schema_versions (
    version INTEGER NOT NULL,
    hash    TEXT    NOT NULL,
    at_ms   INTEGER NOT NULL,                 -- first opened with it
    PRIMARY KEY (version, hash)
) STRICT;
