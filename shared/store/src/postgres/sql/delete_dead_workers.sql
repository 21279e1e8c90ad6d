-- Workers that are dead for a while and run nothing are forgotten; a claim that was under way when they died is done by then.
DELETE FROM workers w
WHERE abs(w.alive_until) < $1 AND NOT EXISTS (
    SELECT 1 FROM jobs j WHERE j.due_at IS NOT NULL AND j.state = 'running' AND j.worker = w.worker)
