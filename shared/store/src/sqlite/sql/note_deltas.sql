-- Records what deltas write: ?2 is a list of [hash, start of the reading, version, origin]. A version is kept unless a
-- new one replaces it. What two origins make has several makers (0).
INSERT INTO deltas (source_id, key_hash, read_at, version, origin)
SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO UPDATE SET
    read_at = excluded.read_at, version = coalesce(excluded.version, version),
    origin = CASE WHEN excluded.origin <> deltas.origin THEN 0 ELSE excluded.origin END
