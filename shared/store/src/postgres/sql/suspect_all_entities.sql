-- Makes every live entity a suspect: the next cycle must see it again, or it is missed.
INSERT INTO misses (source_id, key_hash)
SELECT DISTINCT e.source_id, e.key_hash FROM entities e WHERE e.source_id = $1 AND e.change <> 'removed'
ON CONFLICT (source_id, key_hash) DO NOTHING
