-- An entity as each of its sources gave it, and what was added to it since.
SELECT s.name, e.sequence, coalesce(n.original, c.body), coalesce(n.additions, '{}')
FROM sources AS s
CROSS JOIN entities AS e ON e.source_id = s.id AND e.ref = ?1
CROSS JOIN changes AS c ON c.sequence = e.sequence
LEFT JOIN enrichments AS n ON n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence
WHERE e.change <> 'removed'
ORDER BY s.name
