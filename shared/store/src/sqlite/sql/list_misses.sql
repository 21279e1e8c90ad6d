-- Hashes that some page dropped, a chunk at a time.
SELECT key_hash FROM misses WHERE source_id = ?1 AND (?2 IS NULL OR key_hash > ?2) ORDER BY key_hash LIMIT ?3
