-- Identity beside the data. Ids are UUID text, times are milliseconds since the Unix epoch, tokens only as SHA-256.

CREATE TABLE auth_credentials (
    workspace_id    TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    email           TEXT    NOT NULL,         -- as written
    email_folded    TEXT    NOT NULL,
    password_hash   TEXT    NOT NULL,         -- PHC string
    failed_attempts INTEGER NOT NULL DEFAULT 0,
    locked_until_ms INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, user_id),
    UNIQUE (email_folded, workspace_id)
) STRICT;

CREATE TABLE auth_devices (
    workspace_id    TEXT    NOT NULL,
    device_id       TEXT    NOT NULL,
    user_id         TEXT    NOT NULL,
    name            TEXT    NOT NULL,
    deployment_mode TEXT    NOT NULL,
    created_ms      INTEGER NOT NULL,
    last_seen_ms    INTEGER NOT NULL,
    revoked_ms      INTEGER,
    PRIMARY KEY (workspace_id, device_id)
) STRICT;
CREATE INDEX auth_devices_user ON auth_devices (workspace_id, user_id);

CREATE TABLE auth_refresh_tokens (
    token_sha256     BLOB    NOT NULL PRIMARY KEY,
    family_id        TEXT    NOT NULL,        -- everything that descends from one sign-in
    workspace_id     TEXT    NOT NULL,
    user_id          TEXT    NOT NULL,
    device_id        TEXT    NOT NULL,
    created_ms       INTEGER NOT NULL,
    expires_ms       INTEGER NOT NULL,
    used_ms          INTEGER,                 -- rotated then ...
    successor_sha256 BLOB,                    -- ... into this
    revoked_ms       INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX auth_refresh_tokens_family ON auth_refresh_tokens (family_id);
CREATE INDEX auth_refresh_tokens_device ON auth_refresh_tokens (workspace_id, user_id, device_id);
CREATE INDEX auth_refresh_tokens_expiry ON auth_refresh_tokens (expires_ms);

CREATE TABLE auth_client_status (
    workspace_id      TEXT    NOT NULL,
    client_id         TEXT    NOT NULL,
    device_id         TEXT    NOT NULL,
    epoch             INTEGER NOT NULL,
    cursor            INTEGER NOT NULL,
    pending_count     INTEGER NOT NULL,
    oldest_pending_ms INTEGER,                -- age when reported; none pending: absent
    reported_ms       INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, client_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE auth_kv (
    workspace_id TEXT NOT NULL,               -- '' for the server's own
    key          TEXT NOT NULL,
    value        BLOB NOT NULL,
    PRIMARY KEY (workspace_id, key)
) STRICT, WITHOUT ROWID;
