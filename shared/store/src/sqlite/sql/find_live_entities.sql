-- Some live entities of a source.
SELECT ref, key_hash, sequence FROM entities WHERE source_id = ?1 AND change <> 'removed' LIMIT ?2
