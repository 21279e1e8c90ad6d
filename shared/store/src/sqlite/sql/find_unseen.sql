-- The live entities with these hashes: one scan of the source's entities, regardless of the number of hashes.
SELECT e.ref, e.key_hash, e.sequence FROM entities AS e
WHERE e.source_id = ?1 AND e.change <> 'removed' AND e.key_hash IN (SELECT value FROM json_each(?2))
