-- Leases of a worker, whether it knows of them or not. (Running jobs were due, so finished ones are not scanned.)
SELECT j.id, j.token FROM jobs j
WHERE j.due_at <= $2 AND j.due_at IS NOT NULL AND j.state = 'running' AND j.worker = $1
