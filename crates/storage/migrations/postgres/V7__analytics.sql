-- What archived connections say beside bytes and mutations, and the ways they are looked for.

ALTER TABLE analytics_connections ADD COLUMN transport text NOT NULL DEFAULT 'websocket';
ALTER TABLE analytics_connections ADD COLUMN close_code bigint NOT NULL DEFAULT 0;   -- as WebSocket counts them
ALTER TABLE analytics_connections ADD COLUMN frames_in bigint NOT NULL DEFAULT 0;

CREATE INDEX analytics_connections_user ON analytics_connections (workspace_id, user_id, closed_ms, connection_id);
CREATE INDEX analytics_connections_device ON analytics_connections (workspace_id, device_id, closed_ms, connection_id);
-- A page goes on behind its last row, which its time alone does not name.
DROP INDEX analytics_connections_closed;
CREATE INDEX analytics_connections_closed ON analytics_connections (workspace_id, closed_ms, connection_id);
