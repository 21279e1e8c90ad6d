-- Leases partitions of the lead's cycle that wait for a place, were never begun and killed no worker to the lead's
-- worker. At most $3, and half of an even share of the waiting partitions. They keep their due time, since they have no
-- place of their own.
WITH lead AS MATERIALIZED (
    SELECT j.source_id, j.cycle, j.worker, 2 * s.parallel AS shares
    FROM jobs j
    JOIN sources s ON s.id = j.source_id AND s.state = 'active' AND s.hold_until <= $4
    JOIN cycles c ON c.source_id = j.source_id AND c.number = j.cycle AND c.state = 'bursting'
    WHERE j.id = $1 AND j.token = $2 AND j.state = 'running'
), share AS MATERIALIZED (
    SELECT count(w.id) / max(l.shares) AS jobs
    FROM lead l
    CROSS JOIN LATERAL (
        SELECT j.id FROM jobs j
        WHERE j.source_id = l.source_id AND j.cycle = l.cycle AND j.due_at >= $5 AND j.state = 'waiting'
            AND j.rung = 0 AND j.rescues = 0 AND j.progress IS NULL
        ORDER BY j.due_at, j.id
        LIMIT $3 * l.shares
    ) w
), picked AS MATERIALIZED (
    SELECT w.place, l.worker
    FROM lead l
    CROSS JOIN LATERAL (
        SELECT j.ctid AS place FROM jobs j
        WHERE j.source_id = l.source_id AND j.cycle = l.cycle AND j.due_at >= $5 AND j.state = 'waiting'
            AND j.rung = 0 AND j.rescues = 0 AND j.progress IS NULL
        ORDER BY j.due_at, j.id
        LIMIT (SELECT least($3, s.jobs) FROM share s)
        FOR UPDATE OF j SKIP LOCKED
    ) w
)
UPDATE jobs j SET
    state = 'running', worker = p.worker, token = j.token + 1, attempt = j.attempt + 1, hinted_at = 0, updated_at = $4
FROM picked p
WHERE j.ctid = p.place
RETURNING j.id, j.token, j.kind, j.key, j.fingerprint, j.args, j.cursor, j.progress, j.attempt, j.rung, j.trigger, j.trace,
    j.source_id, j.cycle, $4::BIGINT AS due_at
