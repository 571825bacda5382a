-- What archived connections say beside bytes and mutations, and the ways they are looked for.

ALTER TABLE analytics_connections ADD COLUMN transport TEXT NOT NULL DEFAULT 'websocket';
ALTER TABLE analytics_connections ADD COLUMN close_code INTEGER NOT NULL DEFAULT 0;   -- as WebSocket counts them
ALTER TABLE analytics_connections ADD COLUMN frames_in INTEGER NOT NULL DEFAULT 0;

CREATE INDEX analytics_connections_user ON analytics_connections (workspace_id, user_id, closed_ms);
CREATE INDEX analytics_connections_device ON analytics_connections (workspace_id, device_id, closed_ms);
