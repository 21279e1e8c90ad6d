-- Restarts a partition: no cursor, and the given progress. The row is locked and was checked.
UPDATE jobs j SET cursor = NULL, progress = $2, rung = 0, rescues = 0, updated_at = $3 WHERE j.id = $1
