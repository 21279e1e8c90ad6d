-- Who dropped a miss is not known any more when that partition is gone.
UPDATE misses SET partition_id = 0
WHERE source_id = $1 AND partition_id <> 0 AND partition_id NOT IN (SELECT id FROM jobs WHERE source_id = $1)
