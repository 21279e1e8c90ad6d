-- Deletes workers whose lease has expired and whose jobs have all been rescued.
DELETE FROM workers
WHERE alive_until < ?1
  AND NOT EXISTS (SELECT 1 FROM jobs AS j WHERE j.state = 'running' AND j.worker = workers.worker)
