-- What operators look at. Times are milliseconds since the Unix epoch, workspace '' is the server itself.

CREATE TABLE audit_heads (
    workspace_id text COLLATE "C" NOT NULL PRIMARY KEY,
    seq          bigint NOT NULL,            -- of the last entry
    hash         text NOT NULL,            -- of the last entry
    anchor_seq   bigint NOT NULL,            -- of the last entry that was forgotten ...
    anchor_hash  text NOT NULL             -- ... and its hash
);

CREATE TABLE audit_log (
    workspace_id text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,            -- gapless
    id           uuid NOT NULL,
    at_ms        bigint NOT NULL,
    event        text COLLATE "C" NOT NULL,
    user_id      uuid,                         -- who did it
    entry        text NOT NULL,            -- JSON, with everything above
    hash         text NOT NULL,            -- of the previous hash and the entry
    PRIMARY KEY (workspace_id, seq)
);
CREATE UNIQUE INDEX audit_log_id ON audit_log (workspace_id, id);
CREATE INDEX audit_log_user ON audit_log (workspace_id, user_id, seq);
CREATE INDEX audit_log_event ON audit_log (workspace_id, event, seq);

CREATE TABLE ops_leases (
    name     text COLLATE "C" NOT NULL PRIMARY KEY,    -- of a task that one node at a time does
    holder   text NOT NULL,
    until_ms bigint NOT NULL
);

CREATE TABLE ops_alerts (
    workspace_id text COLLATE "C" NOT NULL,
    alert_key    text COLLATE "C" NOT NULL,            -- rule and subject
    rule         text NOT NULL,
    severity     text NOT NULL,
    state        text NOT NULL,            -- firing or resolved
    summary      text NOT NULL,
    since_ms     bigint NOT NULL,            -- of the state
    updated_ms   bigint NOT NULL,
    PRIMARY KEY (workspace_id, alert_key)
);

CREATE TABLE analytics_connections (
    workspace_id    text COLLATE "C" NOT NULL,
    connection_id   uuid NOT NULL,
    user_id         uuid NOT NULL,
    device_id       uuid NOT NULL,
    deployment_mode text NOT NULL,
    opened_ms       bigint NOT NULL,
    closed_ms       bigint NOT NULL,
    reason          text NOT NULL,
    bytes_in        bigint NOT NULL,
    bytes_out       bigint NOT NULL,
    mutations       bigint NOT NULL,
    PRIMARY KEY (workspace_id, connection_id)
);
CREATE INDEX analytics_connections_closed ON analytics_connections (workspace_id, closed_ms);

CREATE TABLE analytics_devices (
    workspace_id text COLLATE "C" NOT NULL,
    day          bigint NOT NULL,            -- since the Unix epoch
    device_id    uuid NOT NULL,
    user_id      uuid NOT NULL,
    connections  bigint NOT NULL,
    connected_ms bigint NOT NULL,
    bytes_in     bigint NOT NULL,
    bytes_out    bigint NOT NULL,
    mutations    bigint NOT NULL,
    sync_ok      bigint NOT NULL,
    sync_failed  bigint NOT NULL,
    PRIMARY KEY (workspace_id, day, device_id)
);

CREATE TABLE analytics_calls (
    workspace_id text COLLATE "C" NOT NULL,
    day          bigint NOT NULL,
    operation    text COLLATE "C" NOT NULL,            -- as clients name what they measured
    calls        bigint NOT NULL,
    failures     bigint NOT NULL,
    total_ms     bigint NOT NULL,
    buckets      text NOT NULL,            -- JSON: counts by upper bound, doubling from 1 ms
    PRIMARY KEY (workspace_id, day, operation)
);
