-- A session that is not over.
SELECT token_id, token_hash, opened_at, expires_at, person
FROM sessions
WHERE hash = $1 AND expires_at > $2
