-- Takes jobs back from dead workers: due again, or parked; a superseded one starts afresh with its newest args. (The
-- plus keeps the planner from scanning all running jobs.)
UPDATE jobs SET
    state = b.state, due_at = CASE WHEN jobs.due_at IS NOT NULL THEN max(b.due_at, coalesce(again_at, 0)) END, rescues = rescues + 1, worker = NULL, hinted_at = 0,
    cursor = CASE WHEN again_at IS NULL THEN cursor END,
    progress = CASE WHEN again_at IS NULL THEN progress END,
    again_at = NULL,
    last_error = coalesce(b.error, last_error),
    updated_at = ?2
FROM (
    SELECT value ->> 0 AS id, value ->> 1 AS state, value ->> 2 AS due_at, value ->> 3 AS error FROM json_each(?1)
) AS b
WHERE jobs.id = b.id AND +jobs.state = 'running'
