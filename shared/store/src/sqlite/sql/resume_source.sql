-- Ends a pause; a source that was blocked before or during the pause is blocked again.
UPDATE sources SET state = CASE WHEN blocked_reason IS NULL THEN 'active' ELSE 'blocked' END
WHERE id = ?1 AND state = 'paused'
