-- Gives free places of a cycle to the partitions that have waited longest, those on their ladder last; never more open
-- ones than the source allows. 4611686018427387904 is NO_PLACE. (A partition that runs without a due time is read in
-- the place of another.)
UPDATE jobs SET due_at = max(?3, coalesce(due_at - 4611686018427387904, ?3)), hinted_at = 0, updated_at = ?3
WHERE id IN (
    SELECT id FROM (
        SELECT * FROM (
            SELECT id
            FROM jobs INDEXED BY jobs_cycle
            WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at IS NULL
            ORDER BY id
            LIMIT (SELECT parallel FROM sources WHERE id = ?1)
        )
        UNION ALL
        SELECT * FROM (
            SELECT id
            FROM jobs INDEXED BY jobs_cycle
            WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at >= 4611686018427387904
            ORDER BY due_at, id
            LIMIT (SELECT parallel FROM sources WHERE id = ?1)
        )
    )
    LIMIT max(0, (SELECT parallel FROM sources WHERE id = ?1) - (
        SELECT count(*) FROM jobs WHERE source_id = ?1 AND cycle = ?2 AND state = 'running' AND due_at IS NOT NULL
    ) - (
        SELECT count(*) FROM jobs WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at < 4611686018427387904
    ))
)
