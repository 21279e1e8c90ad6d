-- Notes what deltas write: ?2 is a list of [hash, beginning of the reading, version, origin]. A version stays if none follows
-- it. What two origins make is made by several (0).
INSERT INTO deltas (source_id, key_hash, read_at, version, origin, sequence)
SELECT ?1, n.value ->> 0, n.value ->> 1, n.value ->> 2, n.value ->> 3, (SELECT c.value + 1 FROM counters AS c WHERE c.name = 'sequence')
FROM json_each(?2) AS n WHERE true
ON CONFLICT (source_id, key_hash) DO UPDATE SET
    read_at = excluded.read_at, version = coalesce(excluded.version, version), sequence = excluded.sequence,
    origin = CASE WHEN excluded.origin <> deltas.origin THEN 0 ELSE excluded.origin END
