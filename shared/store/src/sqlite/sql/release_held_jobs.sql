-- Makes partitions of the running cycle that wait for the end of a hold due at once.
UPDATE jobs SET due_at = ?2, hinted_at = 0, updated_at = ?2
WHERE source_id = ?1 AND cycle = (SELECT cycle FROM sources WHERE id = ?1) AND state = 'waiting'
    AND due_at > ?2 AND due_at <= (SELECT hold_until FROM sources WHERE id = ?1)
