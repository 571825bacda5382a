-- Webhooks: where changes are told, and where others tell of theirs. Times are milliseconds since the Unix epoch.

CREATE TABLE webhooks (
    workspace_id    text COLLATE "C" NOT NULL,
    id              uuid    NOT NULL,
    is_incoming     boolean NOT NULL,
    name            text    NOT NULL,
    url             text,                     -- of an outgoing one
    secret          text    NOT NULL,         -- signs; whsec_ and base64
    events          text    NOT NULL,         -- JSON: what an outgoing one is told
    mapping         text,                     -- JSON: what an incoming one becomes
    is_enabled      boolean NOT NULL,
    disabled_reason text,                     -- when the server switched it off
    cursor          bigint  NOT NULL,         -- seq of the change log up to which deliveries were made
    failures        bigint  NOT NULL,         -- deliveries given up in a row
    created_ms      bigint  NOT NULL,
    created_by      uuid    NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
-- An incoming request does not say its workspace.
CREATE UNIQUE INDEX webhooks_id ON webhooks (id);

CREATE TABLE webhook_deliveries (
    workspace_id   text COLLATE "C" NOT NULL,
    id             uuid   NOT NULL,           -- of the message: what a receiver knows it by
    webhook_id     uuid   NOT NULL,
    event          text   NOT NULL,
    payload        text   NOT NULL,
    state          text   NOT NULL,           -- pending, delivered or failed
    attempts       bigint NOT NULL,
    next_ms        bigint NOT NULL,           -- pending: when it is due
    lease_until_ms bigint NOT NULL,           -- until then somebody is at it
    last_status    bigint,
    last_error     text,
    created_ms     bigint NOT NULL,
    updated_ms     bigint NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (state, next_ms);
CREATE INDEX webhook_deliveries_hook ON webhook_deliveries (workspace_id, webhook_id, created_ms);
