-- Webhooks: where changes are told, and where others tell of theirs. Ids are UUID text, times milliseconds since the Unix epoch.

CREATE TABLE webhooks (
    workspace_id    TEXT    NOT NULL,
    id              TEXT    NOT NULL UNIQUE,
    is_incoming     INTEGER NOT NULL,
    name            TEXT    NOT NULL,
    url             TEXT,                     -- of an outgoing one
    secret          TEXT    NOT NULL,         -- signs; whsec_ and base64
    events          TEXT    NOT NULL,         -- JSON: what an outgoing one is told
    mapping         TEXT,                     -- JSON: what an incoming one becomes
    is_enabled      INTEGER NOT NULL,
    disabled_reason TEXT,                     -- when the server switched it off
    cursor          INTEGER NOT NULL,         -- seq of the change log up to which deliveries were made
    failures        INTEGER NOT NULL,         -- deliveries given up in a row
    created_ms      INTEGER NOT NULL,
    created_by      TEXT    NOT NULL,
    PRIMARY KEY (workspace_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE webhook_deliveries (
    workspace_id   TEXT    NOT NULL,
    id             TEXT    NOT NULL,          -- of the message: what a receiver knows it by
    webhook_id     TEXT    NOT NULL,
    event          TEXT    NOT NULL,
    payload        TEXT    NOT NULL,
    state          TEXT    NOT NULL,          -- pending, delivered or failed
    attempts       INTEGER NOT NULL,
    next_ms        INTEGER NOT NULL,          -- pending: when it is due
    lease_until_ms INTEGER NOT NULL,          -- until then somebody is at it
    last_status    INTEGER,
    last_error     TEXT,
    created_ms     INTEGER NOT NULL,
    updated_ms     INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (state, next_ms);
CREATE INDEX webhook_deliveries_hook ON webhook_deliveries (workspace_id, webhook_id, created_ms);
