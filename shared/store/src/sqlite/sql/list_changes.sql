-- The change feed after a place, in commit order; names the sources of tombstones even when they are forgotten.
SELECT c.sequence, e.change, coalesce(s.name, f.name, ''), c.ref, e.changed_at, c.body
FROM changes AS c
CROSS JOIN entities AS e ON e.source_id = c.source_id AND e.ref = c.ref
LEFT JOIN sources AS s ON s.id = c.source_id
LEFT JOIN former_sources AS f ON f.id = c.source_id
WHERE c.sequence > ?1
ORDER BY c.sequence
LIMIT ?2
