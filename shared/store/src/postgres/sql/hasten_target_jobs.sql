-- Makes postponed jobs of a target that have not failed ($6: latest due time) due now, the next ones first. Keys are
-- the target's name, a slash, and the entity. Rows that another transaction is changing are skipped, never waited for.
-- (CASE keeps the planner from finding them by key among all finished jobs.)
WITH picked AS MATERIALIZED (
    SELECT j.ctid AS place FROM jobs j
    WHERE j.due_at > $4 AND j.due_at <= $6 AND CASE
        WHEN j.state = 'waiting' AND j.rung = 0 AND j.kind = $1 AND j.key >= $2 AND j.key < $3 THEN true END
    ORDER BY j.due_at, j.id
    LIMIT $5
    FOR UPDATE SKIP LOCKED
)
UPDATE jobs j SET due_at = $4, hinted_at = 0, updated_at = $4
FROM picked p
WHERE j.ctid = p.place
