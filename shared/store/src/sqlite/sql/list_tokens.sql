-- API tokens by creation time, including revoked ones.
SELECT id, hash, name, role, sources, created_at, created_by, expires_at, last_used_at, revoked_at
FROM api_tokens
ORDER BY created_at, id
LIMIT ?1
