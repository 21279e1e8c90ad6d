-- Those of these references of a source that are live, in order; if texts are given, only those whose body contains one
-- of them.
SELECT e.ref, e.fingerprint, e.sequence, e.changed_at, c.body, s.name
FROM json_each(?2) AS n
CROSS JOIN entities AS e ON e.source_id = ?1 AND e.ref = n.value
CROSS JOIN changes AS c ON c.sequence = e.sequence
CROSS JOIN sources AS s ON s.id = e.source_id
WHERE e.change <> 'removed'
  AND (json_array_length(?3) = 0 OR EXISTS (SELECT 1 FROM json_each(?3) AS t WHERE instr(c.body, t.value) > 0))
ORDER BY e.ref
LIMIT ?4
