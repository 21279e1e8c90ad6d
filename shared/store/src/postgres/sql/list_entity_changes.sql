-- The newest change of one reference in each source that owns or owned it, newest first; by the key of every source.
SELECT e.sequence, e.change, s.name AS source, e.ref, e.changed_at, e.body
FROM sources s
CROSS JOIN LATERAL (
    SELECT * FROM entities e WHERE e.source_id = s.id AND e.ref = $1 LIMIT 1
) e
ORDER BY e.sequence DESC
LIMIT $2
