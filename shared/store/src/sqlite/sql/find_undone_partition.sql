-- Whether a partition of the cycle has not finished well: then nothing may be swept.
SELECT EXISTS (
    SELECT 1 FROM jobs
    WHERE source_id = ?1 AND cycle = ?2 AND state IN ('waiting', 'running', 'paused', 'parked', 'cancelled')
)
