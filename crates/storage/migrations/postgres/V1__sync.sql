-- The sync metadata that lives beside the typed tables. The workspace leads every key and index, so that the data can be
-- spread by workspace. Text is compared by code point ("C"): the order does not depend on the server's locale.

CREATE TABLE sync_workspaces (
    workspace_id text COLLATE "C" NOT NULL PRIMARY KEY,
    backend_id   uuid   NOT NULL,
    epoch        bigint NOT NULL,
    seq          bigint NOT NULL,             -- head
    min_seq      bigint NOT NULL,
    chain        text   NOT NULL,
    anchor_seq   bigint NOT NULL,             -- last forgotten log entry ...
    anchor_chain text   NOT NULL              -- ... and its hash: the chain verifies from here
) WITH (fillfactor = 50);                     -- every commit updates its row: leave room to do that in place

-- Every entity that ever had a table.
CREATE TABLE sync_entities (
    name text COLLATE "C" NOT NULL PRIMARY KEY
);

CREATE TABLE sync_scopes (
    workspace_id text COLLATE "C" NOT NULL,
    name         text COLLATE "C" NOT NULL,
    count        bigint NOT NULL DEFAULT 0,   -- digest: live records ...
    sum          bigint NOT NULL DEFAULT 0,   -- ... and the 64-bit sum, as signed
    PRIMARY KEY (workspace_id, name)
) WITH (fillfactor = 70);

-- Every record and tombstone. A live record's values are in its typed table; a tombstone's last ones in `fields`.
CREATE TABLE sync_records (
    workspace_id text COLLATE "C" NOT NULL,
    entity       text COLLATE "C" NOT NULL,
    record_id    uuid     NOT NULL,
    scope        text COLLATE "C" NOT NULL,
    rv           bigint   NOT NULL,
    entered      bigint   NOT NULL,
    state        smallint NOT NULL,           -- 0 live, 1 deleted, 2 deleted and forgotten but for its id
    versions     text     NOT NULL,           -- JSON
    fields       text,                        -- JSON, of a tombstone
    PRIMARY KEY (workspace_id, entity, record_id)
);
-- Catch-up and snapshot pages read it in this order; digest walks read nothing else.
CREATE INDEX sync_records_changed ON sync_records (workspace_id, scope, entity, rv, record_id, state) WHERE state < 2;
-- What compaction looks for.
CREATE INDEX sync_records_deleted ON sync_records (workspace_id, rv) WHERE state = 1;

CREATE TABLE sync_departures (
    workspace_id text COLLATE "C" NOT NULL,
    scope        text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,
    entity       text COLLATE "C" NOT NULL,
    record_id    uuid   NOT NULL,
    PRIMARY KEY (workspace_id, scope, seq, entity, record_id)
);

-- Indexes that a column cannot carry: elements of sets, and keys of uniquenesses over several or folded fields.
CREATE TABLE sync_indexes (
    no         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity     text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL CHECK (kind IN ('set', 'unique')),
    name       text COLLATE "C" NOT NULL,
    definition text NOT NULL,                 -- rebuilt when it changes
    UNIQUE (entity, kind, name)
);
CREATE TABLE sync_keys (
    workspace_id text COLLATE "C" NOT NULL,
    index_no     integer NOT NULL,
    key          text COLLATE "C" NOT NULL,   -- a long one: a hash
    record_id    uuid    NOT NULL,
    PRIMARY KEY (workspace_id, index_no, key, record_id)
);

CREATE TABLE sync_log (
    workspace_id text COLLATE "C" NOT NULL,
    seq          bigint NOT NULL,
    entry        text   NOT NULL,             -- JSON, the very bytes that are hashed
    hash         text   NOT NULL,
    PRIMARY KEY (workspace_id, seq)
);

CREATE TABLE sync_clients (
    workspace_id    text COLLATE "C" NOT NULL,
    client_id       uuid   NOT NULL,
    user_id         uuid   NOT NULL,
    device_id       uuid   NOT NULL,
    last_client_seq bigint NOT NULL,
    acknowledged    bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, client_id)
) WITH (fillfactor = 70);

CREATE TABLE sync_outcomes (
    workspace_id text COLLATE "C" NOT NULL,
    client_id    uuid    NOT NULL,
    client_seq   bigint  NOT NULL,
    user_id      uuid    NOT NULL,
    seq          bigint  NOT NULL,
    decided_ms   bigint  NOT NULL,
    is_rejected  boolean NOT NULL,
    outcome      text    NOT NULL,            -- JSON
    rejected     text,                        -- JSON, the mutation
    PRIMARY KEY (workspace_id, client_id, client_seq)
);
CREATE INDEX sync_outcomes_rejected ON sync_outcomes (workspace_id, decided_ms, client_id, client_seq)
    WHERE is_rejected;

CREATE TABLE sync_schema_versions (
    version bigint NOT NULL,
    hash    text COLLATE "C" NOT NULL,
    at_ms   bigint NOT NULL,                  -- first opened with it
    PRIMARY KEY (version, hash)
);
