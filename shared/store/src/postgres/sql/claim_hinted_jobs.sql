-- Claims those of the hinted jobs that are due and still have the hinted token, like claim_due_jobs. (`coalesce` keeps
-- the planner from searching all due jobs for each.)
WITH picked AS MATERIALIZED (
    SELECT h.place FROM unnest($5::BIGINT[], $6::BIGINT[]) AS n (id, token)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS place FROM jobs j
        WHERE j.id = n.id AND j.token = n.token AND j.state = 'waiting' AND j.kind = ANY ($2::TEXT[])
            AND coalesce(j.due_at, 9223372036854775807) <= $4
            AND (j.source_id IS NULL OR EXISTS (
                SELECT 1 FROM sources s WHERE s.id = j.source_id AND s.state = 'active' AND s.hold_until <= $4))
        LIMIT 1
        FOR UPDATE OF j SKIP LOCKED
    ) h
    LIMIT $3
), known AS (
    INSERT INTO workers (worker, alive_until, started_at)
    SELECT $1, -$4::BIGINT, $4 WHERE EXISTS (SELECT 1 FROM picked)
    ON CONFLICT (worker) DO NOTHING
)
UPDATE jobs j SET
    state = 'running', worker = $1, token = j.token + 1, attempt = j.attempt + 1, hinted_at = 0, updated_at = $4
FROM picked p
WHERE j.ctid = p.place
RETURNING j.id, j.token, j.kind, j.key, j.fingerprint, j.args, j.cursor, j.progress, j.attempt, j.rung, j.trigger, j.trace,
    j.source_id, j.cycle, j.due_at
