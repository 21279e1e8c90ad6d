-- The live entities with these hashes: one walk through the source's entities, however many there are.
SELECT e.ref, e.key_hash, e.sequence FROM entities AS e
WHERE e.source_id = ?1 AND e.change <> 'removed' AND e.key_hash IN (SELECT value FROM json_each(?2))
