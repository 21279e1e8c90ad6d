-- Workers with a lease, and the number of jobs that each holds.
SELECT w.worker, w.alive_until, w.started_at, coalesce(r.running, 0) AS running
FROM workers w
LEFT JOIN (
    SELECT j.worker, count(*) AS running FROM jobs j WHERE j.due_at IS NOT NULL AND j.state = 'running' GROUP BY j.worker
) r ON r.worker = w.worker
WHERE w.alive_until > 0
ORDER BY w.worker
