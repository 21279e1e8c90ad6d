-- Whether a partition of the cycle works still, or was given up: then nothing may be swept. One that failed keeps what
-- it owns.
SELECT EXISTS (
    SELECT 1 FROM jobs
    WHERE source_id = ?1 AND cycle = ?2 AND state IN ('waiting', 'running', 'cancelled')
)
