-- Once a partition is gone, it is no longer known who dropped its misses.
UPDATE misses SET partition_id = 0
WHERE source_id = ?1 AND partition_id <> 0 AND partition_id NOT IN (SELECT id FROM jobs WHERE source_id = ?1)
