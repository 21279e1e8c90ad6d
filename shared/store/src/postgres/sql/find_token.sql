-- The API token of an id.
SELECT id, hash, name, role, sources, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_tokens
WHERE id = $1
