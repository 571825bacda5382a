-- Messages beside the data: what was sent, and what became of it on each device. Times are milliseconds since the Unix
-- epoch. Numbers come from `head`, in commit order.

CREATE TABLE msg_workspaces (
    workspace_id text COLLATE "C" NOT NULL PRIMARY KEY,
    head         bigint NOT NULL,  -- last number given, to a message or a change of deliveries
    kept         bigint NOT NULL             -- messages in msg_messages
);

CREATE TABLE msg_messages (
    workspace_id     text COLLATE "C" NOT NULL,
    no               bigint NOT NULL,  -- order of storing; a replay takes the next
    message_id       uuid    NOT NULL,
    sender_user_id   uuid    NOT NULL,
    sender_device_id uuid    NOT NULL,
    message_type     text    NOT NULL,
    target           text COLLATE "C" NOT NULL,  -- user:<id>, device:<id>, mode:<mode>, workspace
    priority         bigint NOT NULL,  -- 0 critical, 1 high, 2 normal, 3 low
    payload          text    NOT NULL,  -- JSON
    sent_ms          bigint NOT NULL,
    expires_ms       bigint NOT NULL,
    state            bigint NOT NULL,  -- 0 live, 1 over, 2 dead letter
    ended_ms         bigint,
    PRIMARY KEY (workspace_id, no),
    CONSTRAINT msg_messages_id UNIQUE (workspace_id, message_id)
);
CREATE INDEX msg_messages_sender ON msg_messages (workspace_id, sender_user_id, no);
-- What a device that appears later looks through.
CREATE INDEX msg_messages_target ON msg_messages (workspace_id, target, no) WHERE state = 0;
CREATE INDEX msg_messages_expiry ON msg_messages (workspace_id, expires_ms) WHERE state = 0;
CREATE INDEX msg_messages_ended ON msg_messages (workspace_id, ended_ms) WHERE state > 0;
CREATE INDEX msg_messages_dead ON msg_messages (workspace_id, no) WHERE state = 2;

-- One row for each device that a message is for.
CREATE TABLE msg_deliveries (
    workspace_id     text COLLATE "C" NOT NULL,
    no               bigint NOT NULL,
    device_id        uuid    NOT NULL,
    user_id          uuid    NOT NULL,
    sender_device_id uuid    NOT NULL,
    priority         bigint NOT NULL,
    state            bigint NOT NULL,  -- 0 due, 1 delivered, 2 acknowledged, 3 expired
    delivered_ms     bigint,
    acknowledged_ms  bigint,
    expired_ms       bigint,
    changed_no       bigint,  -- number of its last change; none yet: absent
    PRIMARY KEY (workspace_id, no, device_id)
);
CREATE INDEX msg_deliveries_due ON msg_deliveries (workspace_id, device_id, priority, no) WHERE state < 2;
CREATE INDEX msg_deliveries_user ON msg_deliveries (workspace_id, user_id, no);
-- Receipts of one sender, and whoever has new ones.
CREATE INDEX msg_deliveries_receipts ON msg_deliveries (workspace_id, sender_device_id, changed_no)
    WHERE changed_no IS NOT NULL;
CREATE INDEX msg_deliveries_changed ON msg_deliveries (workspace_id, changed_no) WHERE changed_no IS NOT NULL;

-- Up to where a device has been given what was sent before it was known.
CREATE TABLE msg_devices (
    workspace_id text COLLATE "C" NOT NULL,
    device_id    uuid    NOT NULL,
    adopted_no   bigint NOT NULL,
    PRIMARY KEY (workspace_id, device_id)
);
