-- The live entity ?2 of the source ?1, if it is at the sequence ?3, with its source's original body.
SELECT e.source_id, e.key_hash, e.fingerprint, coalesce(n.original, c.body), coalesce(n.source_sequence, e.sequence)
FROM sources AS s
CROSS JOIN entities AS e ON e.source_id = s.id AND e.ref = ?2
CROSS JOIN changes AS c ON c.sequence = e.sequence
LEFT JOIN enrichments AS n ON n.ref = e.ref AND n.source_id = e.source_id AND n.sequence = e.sequence
WHERE s.name = ?1 AND e.sequence = ?3 AND e.change <> 'removed'
