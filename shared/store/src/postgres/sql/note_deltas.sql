-- Notes what deltas write. A version stays if none follows it. What two origins make is made by several (0).
INSERT INTO deltas AS d (source_id, key_hash, read_at, version, origin)
SELECT $1, n.key_hash, n.read_at, n.version, n.origin
FROM unnest($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::BIGINT[]) AS n (key_hash, read_at, version, origin)
ORDER BY n.key_hash
ON CONFLICT (source_id, key_hash) DO UPDATE SET
    read_at = excluded.read_at, version = coalesce(excluded.version, d.version),
    origin = CASE WHEN excluded.origin <> d.origin THEN 0 ELSE excluded.origin END
