-- A new API token; its name is free among those that are not revoked, or nothing is written.
INSERT INTO api_tokens (id, hash, name, role, sources, created_at, created_by, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT DO NOTHING
