-- Stores the cursor of a running job if its lease holds.
UPDATE jobs j SET cursor = $3, rescues = 0, updated_at = $4
WHERE j.id = $1 AND j.token = $2 AND j.state = 'running'
