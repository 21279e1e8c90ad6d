-- Deletes expired sessions, and all but the newest of one token.
DELETE FROM sessions
WHERE expires_at <= ?1
    OR (token_hash = ?2 AND hash NOT IN (
        SELECT hash FROM sessions WHERE token_hash = ?2 ORDER BY opened_at DESC LIMIT ?3
    ))
