-- Claims the oldest due jobs for this worker; jobs that another claim is taking are skipped, never waited for. A worker
-- without a row gets one with an expired lease, so that its jobs are rescued if it never sends a heartbeat. (CASE keeps
-- the planner from assuming that few jobs are due, and so from sorting all of them.) A picked row is found again by its
-- ctid: it is locked, so no other transaction moves it. A row that moved since the statement began is left to the next
-- claim.
WITH picked AS MATERIALIZED (
    SELECT j.ctid AS place FROM jobs j
    WHERE j.due_at <= $4 AND CASE
        WHEN j.state = 'waiting' AND j.kind = ANY ($2::TEXT[]) AND (j.source_id IS NULL OR EXISTS (
            SELECT 1 FROM sources s WHERE s.id = j.source_id AND s.state = 'active' AND s.hold_until <= $4))
        THEN true END
    ORDER BY j.due_at, j.id
    LIMIT $3
    FOR UPDATE OF j SKIP LOCKED
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
