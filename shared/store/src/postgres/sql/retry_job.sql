-- Makes the job run again from rung 0 when it is due.
UPDATE jobs SET
    state = 'waiting', due_at = $2, parked_at = NULL, attempt = 0, rung = 0, rescues = 0, hinted_at = 0, updated_at = $3
WHERE id = $1 AND state IN ('waiting', 'parked', 'cancelled')
