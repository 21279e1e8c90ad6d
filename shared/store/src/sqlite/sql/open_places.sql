-- Gives free places of a cycle to the partitions that have waited longest; never more open ones than the source allows.
UPDATE jobs SET due_at = ?3, hinted_at = 0, updated_at = ?3
WHERE id IN (
    SELECT id
    FROM jobs INDEXED BY jobs_cycle
    WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at IS NULL
    ORDER BY id
    LIMIT max(0, (SELECT parallel FROM sources WHERE id = ?1) - (
        SELECT count(*) FROM jobs WHERE source_id = ?1 AND cycle = ?2 AND state = 'running'
    ) - (
        SELECT count(*) FROM jobs WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at IS NOT NULL
    ))
)
