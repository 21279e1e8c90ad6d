-- How many partitions of a cycle did not finish well. A cycle with any never sweeps.
SELECT count(*) AS unfinished FROM jobs j WHERE j.source_id = $1 AND j.cycle = $2 AND j.state <> 'done' AND by_index(j.id)
