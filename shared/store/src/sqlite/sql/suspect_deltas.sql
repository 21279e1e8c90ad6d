-- What a delta saw is a candidate of the next complete cycle's sweep, and of none that began before: no page need have
-- it.
INSERT INTO misses (source_id, key_hash, last_cycle)
SELECT ?1, value, ?3 FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO UPDATE SET missed = 0, last_cycle = excluded.last_cycle, kept = 0, ref = NULL
