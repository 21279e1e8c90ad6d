-- Counts each miss once per cycle, unless a partition dropped it whose entities are kept, or may have: then it waits.
UPDATE misses SET missed = missed + 1, last_cycle = $2
WHERE source_id = $1 AND last_cycle < $2 AND partition_id NOT IN (
    SELECT id FROM jobs WHERE source_id = $1 AND kept_in = $2
    UNION ALL
    SELECT 0 WHERE EXISTS (SELECT 1 FROM jobs WHERE source_id = $1 AND kept_in = $2)
)
