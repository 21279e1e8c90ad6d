-- Finds the live entities of misses: one scan of the source's entities, regardless of the number of misses.
INSERT INTO misses (source_id, key_hash, ref)
SELECT e.source_id, e.key_hash, e.ref
FROM entities AS e
CROSS JOIN misses AS m ON m.source_id = e.source_id AND m.key_hash = e.key_hash
WHERE e.source_id = ?1 AND e.change <> 'removed' AND m.ref IS NULL
ON CONFLICT (source_id, key_hash) DO UPDATE SET ref = excluded.ref
