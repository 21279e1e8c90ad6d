-- Makes all jobs of a worker due at once without spending an attempt; superseded ones start afresh. One
-- without a due time waits for a place again: the answer has its source and cycle.
UPDATE jobs SET
    state = 'waiting', due_at = CASE WHEN due_at IS NOT NULL THEN max(?2, coalesce(again_at, 0)) END, worker = NULL, hinted_at = 0, updated_at = ?2,
    attempt = CASE WHEN again_at IS NULL THEN max(attempt - 1, 0) ELSE 0 END,
    rung = CASE WHEN again_at IS NULL THEN rung ELSE 0 END,
    rescues = CASE WHEN again_at IS NULL THEN rescues ELSE 0 END,
    cursor = CASE WHEN again_at IS NULL THEN cursor END,
    progress = CASE WHEN again_at IS NULL THEN progress END,
    again_at = NULL
WHERE state = 'running' AND worker = ?1
RETURNING CASE WHEN due_at IS NULL THEN source_id END, cycle
