-- Like list_jobs, of running jobs only: few among many, so they are found by their index.
SELECT
    j.id, j.kind, j.key, j.state, CASE WHEN j.state = 'waiting' AND j.due_at < 4611686018427387904 THEN j.due_at END, j.attempt, j.rung, j.token, j.worker,
    w.alive_until, j.last_error, j.trigger, j.args, j.cursor, j.progress, j.trace, s.name, j.cycle, j.created_at,
    j.updated_at
FROM jobs AS j INDEXED BY jobs_running
LEFT JOIN workers AS w ON w.worker = j.worker
LEFT JOIN sources AS s ON s.id = j.source_id
WHERE j.id > ?1
  AND (?2 IS NULL OR j.kind = ?2)
  AND (?3 IS NULL OR j.key = ?3)
  AND j.state = 'running' AND j.state = ?4
  AND (?5 IS NULL OR s.name = ?5 OR j.kind = 'refresh' AND substr(j.key, 1, length(?5) + 1) = ?5 || '/')
ORDER BY j.id
LIMIT ?6
