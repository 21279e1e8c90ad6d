-- Partitions of earlier cycles that this one did not reveal again are forgotten.
DELETE FROM jobs WHERE source_id = $1 AND cycle < $2 AND state <> 'running'
