-- What a worker runs, whether it knows or not. (What runs was due; so what is done is not looked through.)
SELECT j.id, j.token FROM jobs j
WHERE j.due_at <= $2 AND j.due_at IS NOT NULL AND j.state = 'running' AND j.worker = $1
