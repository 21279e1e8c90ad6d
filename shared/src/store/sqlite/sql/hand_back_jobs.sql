-- Makes all jobs of a worker due at once without spending an attempt; superseded ones start afresh.
UPDATE jobs SET
    state = 'waiting', due_at = ?2, worker = NULL, hinted_at = 0, updated_at = ?2,
    attempt = CASE WHEN again = 0 THEN max(attempt - 1, 0) ELSE 0 END,
    rung = CASE WHEN again = 0 THEN rung ELSE 0 END,
    rescues = CASE WHEN again = 0 THEN rescues ELSE 0 END,
    cursor = CASE WHEN again = 0 THEN cursor END,
    progress = CASE WHEN again = 0 THEN progress END,
    again = 0
WHERE state = 'running' AND worker = ?1
