-- What a delta saw is a candidate of the next complete cycle's sweep, and of none that began before: no page need have it.
INSERT INTO misses (source_id, key_hash, last_cycle)
SELECT s.id, n.key_hash, s.cycle
FROM sources s CROSS JOIN unnest($2::BIGINT[]) AS n (key_hash)
WHERE s.id = $1
ORDER BY n.key_hash
ON CONFLICT (source_id, key_hash) DO UPDATE SET missed = 0, last_cycle = excluded.last_cycle, kept = false, ref = NULL
