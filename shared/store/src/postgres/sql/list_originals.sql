-- Entities as each of their sources gave them, and their enrichments.
SELECT s.name AS source, e.ref, e.sequence, coalesce(n.original, e.body) AS body, coalesce(n.additions, '{}') AS additions
FROM unnest($1::TEXT[]) AS r (ref)
CROSS JOIN sources s
CROSS JOIN LATERAL (
    SELECT * FROM entities e
    WHERE e.source_id = s.id AND e.ref = r.ref AND e.change <> 'removed'
    LIMIT 1
) e
LEFT JOIN LATERAL (
    SELECT n.original, n.additions FROM enrichments n
    WHERE n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence
    LIMIT 1
) n ON true
ORDER BY s.name, e.ref
