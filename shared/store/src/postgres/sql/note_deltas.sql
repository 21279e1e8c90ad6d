-- Notes what deltas write. A version stays if none follows it.
INSERT INTO deltas AS d (source_id, key_hash, read_at, version)
SELECT $1, n.key_hash, n.read_at, n.version
FROM unnest($2::BIGINT[], $3::BIGINT[], $4::BIGINT[]) AS n (key_hash, read_at, version)
ORDER BY n.key_hash
ON CONFLICT (source_id, key_hash) DO UPDATE SET
    read_at = excluded.read_at, version = coalesce(excluded.version, d.version)
