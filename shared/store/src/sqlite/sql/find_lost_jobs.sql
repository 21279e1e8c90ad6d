-- Running jobs whose worker's lease has expired.
SELECT j.id, j.worker, j.rescues, j.source_id, j.cycle, j.due_at IS NULL
FROM jobs AS j INDEXED BY jobs_running
LEFT JOIN workers AS w ON w.worker = j.worker
WHERE j.state = 'running' AND (w.worker IS NULL OR w.alive_until < ?1)
ORDER BY j.id
LIMIT ?2
