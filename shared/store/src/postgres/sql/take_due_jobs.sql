-- Due jobs without a fresh hint, each given to one scheduler and recorded as hinted now. Jobs of sources that may not
-- run are skipped. (CASE: see claim_due_jobs.)
WITH picked AS MATERIALIZED (
    SELECT j.id, j.hinted_at FROM jobs j
    WHERE j.due_at <= $3 AND CASE
        WHEN j.state = 'waiting' AND (j.hinted_at <= 0 OR j.hinted_at <= $2) AND (j.source_id IS NULL OR EXISTS (
            SELECT 1 FROM sources s WHERE s.id = j.source_id AND s.state = 'active' AND s.hold_until <= $3))
        THEN true END
    ORDER BY j.due_at, j.id
    LIMIT $1
    FOR UPDATE OF j SKIP LOCKED
)
UPDATE jobs j SET hinted_at = $3
FROM picked p
WHERE j.id = p.id
RETURNING j.kind, j.id, j.token, j.due_at, p.hinted_at > 0 AS resent
