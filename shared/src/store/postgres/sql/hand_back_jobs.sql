-- What the worker still runs is due at once and spends no attempt.
UPDATE jobs j SET
    state = 'waiting', worker = NULL, due_at = $2, hinted_at = 0, updated_at = $2,
    attempt = CASE WHEN j.again THEN 0 ELSE greatest(j.attempt - 1, 0) END,
    rung = CASE WHEN j.again THEN 0 ELSE j.rung END,
    cursor = CASE WHEN NOT j.again THEN j.cursor END,
    progress = CASE WHEN NOT j.again THEN j.progress END,
    again = false
WHERE j.due_at IS NOT NULL AND j.state = 'running' AND j.worker = $1
