-- Inserts an API token, unless a token that was not revoked has its name.
INSERT INTO api_tokens (id, hash, name, role, sources, created_at, created_by, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT DO NOTHING
