-- Ended sign-ins are found in their tokens; what was noted of them elsewhere is not read any more.

CREATE INDEX auth_refresh_tokens_revoked ON auth_refresh_tokens (revoked_ms) WHERE revoked_ms IS NOT NULL;
DELETE FROM auth_kv WHERE key LIKE 'ended-sign-in:%' OR key LIKE 'signed-out-user:%';
