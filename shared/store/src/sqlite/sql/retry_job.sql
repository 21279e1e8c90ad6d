-- The job is due now on rung 0; a partition that has no place waits for one.
UPDATE jobs SET
    due_at = CASE WHEN source_id IS NULL OR (state = 'waiting' AND due_at < 4611686018427387904) THEN ?2 END,
    state = 'waiting', attempt = 0, rung = 0, rescues = 0, hinted_at = 0, updated_at = ?2
WHERE id = ?1
