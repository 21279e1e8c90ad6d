-- Makes all jobs of a worker due at once without spending an attempt; superseded ones start afresh.
UPDATE jobs SET
    state = 'waiting', due_at = max(?2, coalesce(again_at, 0)), worker = NULL, hinted_at = 0, updated_at = ?2,
    attempt = CASE WHEN again_at IS NULL THEN max(attempt - 1, 0) ELSE 0 END,
    rung = CASE WHEN again_at IS NULL THEN rung ELSE 0 END,
    rescues = CASE WHEN again_at IS NULL THEN rescues ELSE 0 END,
    cursor = CASE WHEN again_at IS NULL THEN cursor END,
    progress = CASE WHEN again_at IS NULL THEN progress END,
    again_at = NULL
WHERE state = 'running' AND worker = ?1
