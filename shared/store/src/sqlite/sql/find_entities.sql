-- Live entities of these references, one for each source that owns it.
SELECT e.ref, e.fingerprint, e.sequence, e.changed_at, c.body, s.name
FROM json_each(?1) AS n
CROSS JOIN sources AS s
CROSS JOIN entities AS e ON e.source_id = s.id AND e.ref = n.value
CROSS JOIN changes AS c ON c.sequence = e.sequence
WHERE e.change <> 'removed'
ORDER BY s.name, e.ref
