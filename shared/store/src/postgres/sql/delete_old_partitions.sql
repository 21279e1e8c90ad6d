-- Deletes partitions of earlier cycles that this one did not reveal again, except those that are kept.
DELETE FROM jobs WHERE source_id = $1 AND cycle < $2 AND state <> 'running'
    AND (kept_in IS NULL OR kept_in <> $2)
