-- A webhook's former secret, good beside the new one for a while after a change.

ALTER TABLE webhooks ADD COLUMN former_secret text;
ALTER TABLE webhooks ADD COLUMN former_until_ms bigint NOT NULL DEFAULT 0;
