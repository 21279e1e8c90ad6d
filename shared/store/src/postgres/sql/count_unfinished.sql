-- How many partitions of a cycle work still or were given up. A cycle with any never sweeps; one that failed keeps what it
-- owns.
SELECT count(*) AS unfinished FROM jobs j
WHERE j.source_id = $1 AND j.cycle = $2 AND j.state NOT IN ('done', 'parked')
