-- Sums over the current rows of the partitions of cycles; one row per cycle, in order.
SELECT t.*, c.removed
FROM unnest($1::BIGINT[], $2::BIGINT[]) WITH ORDINALITY AS n (source_id, number, place)
LEFT JOIN cycles c ON c.source_id = n.source_id AND c.number = n.number
CROSS JOIN LATERAL (
    SELECT
        count(*) AS partitions,
        count(*) FILTER (WHERE j.state = 'done') AS partitions_done,
        count(*) FILTER (WHERE j.state = 'parked') AS partitions_parked,
        count(*) FILTER (WHERE j.state = 'cancelled') AS partitions_cancelled,
        coalesce(sum((p ->> 'pages')::BIGINT), 0)::BIGINT AS pages,
        coalesce(sum((p ->> 'pages_unchanged')::BIGINT), 0)::BIGINT AS pages_unchanged,
        coalesce(sum((p ->> 'entities')::BIGINT), 0)::BIGINT AS entities,
        coalesce(sum((p ->> 'added')::BIGINT), 0)::BIGINT AS added,
        coalesce(sum((p ->> 'modified')::BIGINT), 0)::BIGINT AS modified,
        coalesce(sum((p ->> 'unchanged')::BIGINT), 0)::BIGINT AS unchanged,
        coalesce(sum((p ->> 'malformed')::BIGINT), 0)::BIGINT AS malformed,
        coalesce(sum((p ->> 'unidentified')::BIGINT), 0)::BIGINT AS unidentified
    FROM jobs j
    CROSS JOIN LATERAL (SELECT j.progress::JSONB AS p) p
    WHERE j.source_id = n.source_id AND j.cycle = n.number
) t
ORDER BY n.place
