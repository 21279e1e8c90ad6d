-- Entities as each of their sources gave them, and their enrichments.
SELECT s.name, e.sequence, coalesce(n.original, c.body), coalesce(n.additions, '{}'), e.ref
FROM json_each(?1) AS r
CROSS JOIN sources AS s
CROSS JOIN entities AS e ON e.source_id = s.id AND e.ref = r.value
CROSS JOIN changes AS c ON c.sequence = e.sequence
LEFT JOIN enrichments AS n ON n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence
WHERE e.change <> 'removed'
ORDER BY s.name, e.ref
