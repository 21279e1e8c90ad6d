-- Cancels a job; the raised token fences off the worker that runs it.
UPDATE jobs SET
    token = token + CASE WHEN state = 'running' THEN 1 ELSE 0 END, state = 'cancelled', due_at = NULL, worker = NULL,
    again_at = NULL, hinted_at = 0, updated_at = ?2
WHERE id = ?1
