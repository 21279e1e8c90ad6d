-- What these pages held before.
SELECT page, key_hashes FROM page_keys WHERE partition_id = ?1 AND page IN (SELECT value FROM json_each(?2))
