-- A session that has not expired.
SELECT token_id, token_hash, opened_at, expires_at, person
FROM sessions
WHERE hash = ?1 AND expires_at > ?2
