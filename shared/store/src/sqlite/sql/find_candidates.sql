-- Live entities that were missed often enough, including by this cycle (?4), and that no person has decided to keep.
SELECT e.ref, e.key_hash, e.sequence
FROM misses AS m
CROSS JOIN entities AS e ON e.source_id = m.source_id AND e.ref = m.ref
WHERE m.source_id = ?1 AND m.missed >= ?2 AND m.last_cycle = ?4 AND m.kept = 0 AND e.change <> 'removed'
LIMIT ?3
