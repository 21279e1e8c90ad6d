-- Deletes workers that have been dead for a while and run nothing; a claim that was in flight when they died has
-- finished by then.
DELETE FROM workers w
WHERE abs(w.alive_until) < $1 AND NOT EXISTS (
    SELECT 1 FROM jobs j WHERE j.due_at IS NOT NULL AND j.state = 'running' AND j.worker = w.worker)
