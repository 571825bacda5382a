-- What operators look at. Ids are UUID text, times are milliseconds since the Unix epoch, workspace '' is the server itself.

CREATE TABLE audit_heads (
    workspace_id TEXT    NOT NULL PRIMARY KEY,
    seq          INTEGER NOT NULL,            -- of the last entry
    hash         TEXT    NOT NULL,            -- of the last entry
    anchor_seq   INTEGER NOT NULL,            -- of the last entry that was forgotten ...
    anchor_hash  TEXT    NOT NULL             -- ... and its hash
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    workspace_id TEXT    NOT NULL,
    seq          INTEGER NOT NULL,            -- gapless
    id           TEXT    NOT NULL,
    at_ms        INTEGER NOT NULL,
    event        TEXT    NOT NULL,
    user_id      TEXT,                        -- who did it
    entry        TEXT    NOT NULL,            -- JSON, with everything above
    hash         TEXT    NOT NULL,            -- of the previous hash and the entry
    PRIMARY KEY (workspace_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX audit_log_id ON audit_log (workspace_id, id);
CREATE INDEX audit_log_user ON audit_log (workspace_id, user_id, seq);
CREATE INDEX audit_log_event ON audit_log (workspace_id, event, seq);

CREATE TABLE ops_leases (
    name     TEXT    NOT NULL PRIMARY KEY,    -- of a task that one node at a time does
    holder   TEXT    NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE ops_alerts (
    workspace_id TEXT    NOT NULL,
    alert_key    TEXT    NOT NULL,            -- rule and subject
    rule         TEXT    NOT NULL,
    severity     TEXT    NOT NULL,
    state        TEXT    NOT NULL,            -- firing or resolved
    summary      TEXT    NOT NULL,
    since_ms     INTEGER NOT NULL,            -- of the state
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, alert_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE analytics_connections (
    workspace_id    TEXT    NOT NULL,
    connection_id   TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    device_id       TEXT    NOT NULL,
    deployment_mode TEXT    NOT NULL,
    opened_ms       INTEGER NOT NULL,
    closed_ms       INTEGER NOT NULL,
    reason          TEXT    NOT NULL,
    bytes_in        INTEGER NOT NULL,
    bytes_out       INTEGER NOT NULL,
    mutations       INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, connection_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX analytics_connections_closed ON analytics_connections (workspace_id, closed_ms);

CREATE TABLE analytics_devices (
    workspace_id TEXT    NOT NULL,
    day          INTEGER NOT NULL,            -- since the Unix epoch
    device_id    TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    connections  INTEGER NOT NULL,
    connected_ms INTEGER NOT NULL,
    bytes_in     INTEGER NOT NULL,
    bytes_out    INTEGER NOT NULL,
    mutations    INTEGER NOT NULL,
    sync_ok      INTEGER NOT NULL,
    sync_failed  INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, day, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE analytics_calls (
    workspace_id TEXT    NOT NULL,
    day          INTEGER NOT NULL,
    operation    TEXT    NOT NULL,            -- as clients name what they measured
    calls        INTEGER NOT NULL,
    failures     INTEGER NOT NULL,
    total_ms     INTEGER NOT NULL,
    buckets      TEXT    NOT NULL,            -- JSON: counts by upper bound, doubling from 1 ms
    PRIMARY KEY (workspace_id, day, operation)
) STRICT, WITHOUT ROWID;
