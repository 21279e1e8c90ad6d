-- Counts the partitions of a cycle that are still active or were given up. A cycle with any never sweeps; a failed
-- partition keeps what it owns.
SELECT count(*) AS unfinished FROM jobs j
WHERE j.source_id = $1 AND j.cycle = $2 AND j.state NOT IN ('done', 'parked')
