-- Workers with a lease, and the number of jobs that each holds.
SELECT w.worker, w.alive_until, w.started_at, (SELECT count(*) FROM jobs AS j WHERE j.state = 'running' AND j.worker = w.worker)
FROM workers AS w
ORDER BY w.worker
