-- The newest change of one reference in each source that owns or owned it, newest first; by the key of every source.
SELECT e.sequence, e.change, s.name, e.ref, e.changed_at, c.body
FROM (SELECT id, name FROM sources UNION ALL SELECT id, name FROM former_sources) AS s
CROSS JOIN entities AS e ON e.source_id = s.id AND e.ref = ?1
CROSS JOIN changes AS c ON c.sequence = e.sequence
ORDER BY e.sequence DESC
LIMIT ?2
