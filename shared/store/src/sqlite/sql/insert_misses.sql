-- Notes what a page of partition ?3 dropped; what was noted before keeps its count.
INSERT INTO misses (source_id, key_hash, partition_id)
SELECT ?1, value, ?3 FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO UPDATE SET partition_id = 0 WHERE misses.partition_id <> excluded.partition_id
