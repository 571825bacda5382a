-- Identity beside the data. Times are milliseconds since the Unix epoch, tokens only as SHA-256.

CREATE TABLE auth_credentials (
    workspace_id    text COLLATE "C" NOT NULL,
    user_id         uuid   NOT NULL,
    email           text   NOT NULL,          -- as written
    email_folded    text COLLATE "C" NOT NULL,
    password_hash   text   NOT NULL,          -- PHC string
    failed_attempts bigint NOT NULL DEFAULT 0,
    locked_until_ms bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, user_id),
    CONSTRAINT auth_credentials_email UNIQUE (workspace_id, email_folded)
);
-- A sign-in does not know its workspace yet.
CREATE INDEX auth_credentials_by_email ON auth_credentials (email_folded, workspace_id);

CREATE TABLE auth_devices (
    workspace_id    text COLLATE "C" NOT NULL,
    device_id       uuid   NOT NULL,
    user_id         uuid   NOT NULL,
    name            text   NOT NULL,
    deployment_mode text   NOT NULL,
    created_ms      bigint NOT NULL,
    last_seen_ms    bigint NOT NULL,
    revoked_ms      bigint,
    PRIMARY KEY (workspace_id, device_id)
);
CREATE INDEX auth_devices_user ON auth_devices (workspace_id, user_id);

CREATE TABLE auth_refresh_tokens (
    workspace_id     text COLLATE "C" NOT NULL,
    token_sha256     bytea  NOT NULL,
    family_id        uuid   NOT NULL,         -- everything that descends from one sign-in
    user_id          uuid   NOT NULL,
    device_id        uuid   NOT NULL,
    created_ms       bigint NOT NULL,
    expires_ms       bigint NOT NULL,
    used_ms          bigint,                  -- rotated then ...
    successor_sha256 bytea,                   -- ... into this
    revoked_ms       bigint,
    PRIMARY KEY (workspace_id, token_sha256)
);
-- A token does not say its workspace.
CREATE UNIQUE INDEX auth_refresh_tokens_token ON auth_refresh_tokens (token_sha256);
CREATE INDEX auth_refresh_tokens_family ON auth_refresh_tokens (family_id);
CREATE INDEX auth_refresh_tokens_device ON auth_refresh_tokens (workspace_id, user_id, device_id);
CREATE INDEX auth_refresh_tokens_expiry ON auth_refresh_tokens (expires_ms);

CREATE TABLE auth_client_status (
    workspace_id      text COLLATE "C" NOT NULL,
    client_id         uuid   NOT NULL,
    device_id         uuid   NOT NULL,
    epoch             bigint NOT NULL,
    cursor            bigint NOT NULL,
    pending_count     bigint NOT NULL,
    oldest_pending_ms bigint,                 -- age when reported; none pending: absent
    reported_ms       bigint NOT NULL,
    PRIMARY KEY (workspace_id, client_id)
);

CREATE TABLE auth_kv (
    workspace_id text COLLATE "C" NOT NULL,   -- '' for the server's own
    key          text COLLATE "C" NOT NULL,
    value        bytea NOT NULL,
    PRIMARY KEY (workspace_id, key)
);
