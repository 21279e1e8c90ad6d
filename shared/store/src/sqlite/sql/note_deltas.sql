-- Notes what deltas write: ?2 is a list of [hash, beginning of the reading, version]. A version stays if none follows it.
INSERT INTO deltas (source_id, key_hash, read_at, version)
SELECT ?1, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?2) WHERE true
ON CONFLICT (source_id, key_hash) DO UPDATE SET
    read_at = excluded.read_at, version = coalesce(excluded.version, version)
