-- Every live entity must be seen again by the next cycle, or it was missed.
INSERT INTO misses (source_id, key_hash)
SELECT DISTINCT e.source_id, e.key_hash FROM entities e WHERE e.source_id = $1 AND e.change <> 'removed'
ON CONFLICT (source_id, key_hash) DO NOTHING
