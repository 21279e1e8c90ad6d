-- Marks and completes partitions whose only page is unchanged, if their lease holds, their cycle is bursting, they were
-- not superseded, nothing was committed before, and their source has no deltas that were not read ($8). A page that is
-- not remembered fails the statement.
WITH fence AS (
    UPDATE jobs j SET
        state = 'done', due_at = NULL, cursor = NULL, progress = n.progress, attempt = 0, rung = 0, rescues = 0,
        last_error = NULL, hinted_at = 0, worker = NULL, updated_at = $3
    FROM unnest($4::BIGINT[], $5::BIGINT[], $6::TEXT[], $7::BIGINT[]) AS n (id, token, progress, read_at), sources s, cycles c
    WHERE j.id = n.id AND j.token = n.token AND j.state = 'running' AND j.cycle = $2 AND j.again_at IS NULL
        AND j.progress IS NULL AND s.id = $1 AND ($8::BOOLEAN OR NOT s.deltas)
        AND c.source_id = $1 AND c.number = $2 AND c.state = 'bursting'
    RETURNING j.id, n.read_at
), touched AS (
    UPDATE pages p SET cycle = $2, read_at = f.read_at FROM fence f
    WHERE p.partition_id = f.id AND p.page = 0
    RETURNING 1
)
SELECT f.id,
    ensure_true((SELECT count(*) FROM touched) = (SELECT count(*) FROM fence),
        'a page was called unchanged that the store does not remember') AS all_touched
FROM fence f
