-- Gives free places to the oldest partitions of the running cycle without one, which become due; those on their ladder
-- come last, and not before their wait is over. The source rows are locked by the caller.
UPDATE jobs j SET due_at = greatest($2, n.due_at - $3), hinted_at = 0, updated_at = $2
FROM (
    SELECT w.id, w.due_at FROM sources s
    JOIN cycles c ON c.source_id = s.id AND c.number = s.cycle AND c.state = 'bursting'
    CROSS JOIN LATERAL (
        SELECT count(*) AS taken FROM jobs o
        WHERE o.source_id = s.id AND o.cycle = s.cycle AND o.due_at < $3 AND o.state IN ('waiting', 'running')
    ) o
    CROSS JOIN LATERAL (
        SELECT p.id, p.due_at FROM jobs p
        WHERE p.source_id = s.id AND p.cycle = s.cycle AND p.due_at >= $3 AND p.state = 'waiting'
        ORDER BY p.due_at, p.id
        LIMIT greatest(s.parallel - o.taken, 0)
        FOR UPDATE OF p SKIP LOCKED
    ) w
    WHERE s.id = ANY ($1::BIGINT[])
) n
WHERE j.id = n.id
