-- An entity as each of its sources gave it, and what was added to it since.
SELECT s.name AS source, e.sequence, coalesce(n.original, e.body) AS body, coalesce(n.additions, '{}') AS additions
FROM sources s
CROSS JOIN LATERAL (
    SELECT * FROM entities e
    WHERE e.source_id = s.id AND e.ref = $1 AND e.change <> 'removed'
    LIMIT 1
) e
LEFT JOIN enrichments n ON n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence
ORDER BY s.name
