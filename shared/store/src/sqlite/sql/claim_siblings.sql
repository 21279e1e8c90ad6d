-- Leases partitions that wait for a place, were never begun and killed no worker, without giving them one. At most ?4,
-- and half of an even share (?6 shares) of what waits.
UPDATE jobs SET
    state = 'running', worker = ?3, token = token + 1, attempt = attempt + 1, hinted_at = 0, updated_at = ?5
WHERE id IN (
    SELECT id FROM jobs INDEXED BY jobs_cycle
    WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at IS NULL
      AND rung = 0 AND rescues = 0 AND progress IS NULL
    ORDER BY id
    LIMIT min(?4, (
        SELECT count(*) FROM (
            SELECT 1 FROM jobs INDEXED BY jobs_cycle
            WHERE source_id = ?1 AND cycle = ?2 AND state = 'waiting' AND due_at IS NULL
              AND rung = 0 AND rescues = 0 AND progress IS NULL
            LIMIT ?4 * ?6
        )
    ) / ?6)
)
RETURNING id, token, kind, key, fingerprint, args, cursor, progress, attempt, rung, trigger, trace, source_id, cycle, ?5
