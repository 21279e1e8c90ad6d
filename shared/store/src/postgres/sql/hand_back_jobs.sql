-- Jobs that the worker still runs become due at once and spend no attempt. Partitions without a place (due time of $3
-- or more) wait for one again: their sources are returned.
UPDATE jobs j SET
    state = 'waiting', worker = NULL, due_at = CASE WHEN j.due_at >= $3 THEN j.due_at ELSE greatest($2, j.again_at) END, hinted_at = 0, updated_at = $2,
    attempt = CASE WHEN j.again_at IS NOT NULL THEN 0 ELSE greatest(j.attempt - 1, 0) END,
    rung = CASE WHEN j.again_at IS NOT NULL THEN 0 ELSE j.rung END,
    cursor = CASE WHEN j.again_at IS NULL THEN j.cursor END,
    progress = CASE WHEN j.again_at IS NULL THEN j.progress END,
    again_at = NULL
WHERE j.due_at IS NOT NULL AND j.state = 'running' AND j.worker = $1
RETURNING CASE WHEN j.due_at >= $3 THEN j.source_id END AS source_id
