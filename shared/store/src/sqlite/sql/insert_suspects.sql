-- References that another place may show too: counted when the cycle ends.
INSERT INTO collisions (source_id, key_hash)
SELECT ?1, value FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO NOTHING
