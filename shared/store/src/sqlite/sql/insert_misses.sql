-- Notes what a page dropped; what was noted before keeps its count.
INSERT INTO misses (source_id, key_hash)
SELECT ?1, value FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO NOTHING
