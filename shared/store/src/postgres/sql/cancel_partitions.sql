-- Cancels the unfinished partitions of a cycle; the raised tokens fence off the workers that run them.
UPDATE jobs j SET
    token = j.token + CASE WHEN j.state = 'running' THEN 1 ELSE 0 END,
    state = 'cancelled', due_at = NULL, worker = NULL, again_at = NULL, hinted_at = 0, updated_at = $3
WHERE j.source_id = $1 AND j.cycle = $2 AND j.due_at IS NOT NULL
