-- Makes every live entity a suspect: the next cycle must see it again, or it is missed.
INSERT INTO misses (source_id, key_hash)
SELECT source_id, key_hash FROM entities WHERE source_id = ?1 AND change <> 'removed'
ON CONFLICT (source_id, key_hash) DO NOTHING
