-- The whole commit of unchanged pages, in one statement: the fence, the cursor, the marks. No row: the lease was lost,
-- the cycle is not bursting, these pages were committed before, or the source has deltas that were not read ($12). A
-- page that is not remembered fails the statement.
WITH fence AS (
    UPDATE jobs j SET cursor = $5, progress = $6, rung = 0, rescues = 0, updated_at = $7
    FROM sources s, cycles c
    WHERE j.id = $1 AND j.token = $2 AND j.state = 'running' AND j.cycle = $4 AND s.id = $3
        AND c.source_id = $3 AND c.number = $4 AND c.state = 'bursting'
        AND coalesce((j.progress::JSON ->> 'next_page')::BIGINT, 0) = $8
        AND ($12::BOOLEAN OR NOT s.deltas)
    RETURNING s.hold_until, s.state
), touched AS (
    UPDATE pages p SET cycle = $4, read_at = $11 FROM fence
    WHERE p.partition_id = $1 AND p.page >= $8 AND p.page < $8 + $10 AND p.page = ANY ($9::INTEGER[])
    RETURNING 1
)
SELECT f.hold_until, f.state,
    ensure_true((SELECT count(*) FROM touched) = cardinality($9::INTEGER[]),
        'a page was called unchanged that the store does not remember') AS all_touched
FROM fence f
