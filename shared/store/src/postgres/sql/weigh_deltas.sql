-- For each delta (by position): whether it comes too late, because a later reading (delta or page) has written the key,
-- or (outdated) because there is a newer version; and what the catalog has of it. Pages are examined only while a cycle
-- runs or if one ended since the readings began ($5: the earliest); there, only the partitions that committed since. A
-- pushed delta has no start, and no page. A row without a position: there is no such source.
WITH n AS MATERIALIZED (
    SELECT * FROM unnest($2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $6::TEXT[], $7::BYTEA[]) WITH ORDINALITY
        AS n (key_hash, read_at, version, ref, fingerprint, place)
), marked AS MATERIALIZED (
    SELECT h.key_hash, max(p.read_at) AS read_at
    FROM jobs j
    CROSS JOIN LATERAL (
        SELECT p.key_hashes, p.read_at FROM pages p
        WHERE p.partition_id = j.id AND p.read_at > $5
        OFFSET 0
    ) p
    CROSS JOIN LATERAL unnest(p.key_hashes) AS h (key_hash)
    WHERE j.source_id = $1 AND j.kind = 'ingest' AND j.updated_at >= $5 AND h.key_hash = ANY ($2::BIGINT[])
        AND EXISTS (
            SELECT 1 FROM sources s JOIN cycles c ON c.source_id = s.id AND c.number = s.cycle
            WHERE s.id = $1 AND (c.ended_at IS NULL OR c.ended_at >= $5 OR c.started_at >= $5)
        )
    GROUP BY h.key_hash
)
SELECT n.place,
    coalesce(d.version > n.version, false) AS outdated,
    coalesce(d.read_at > n.read_at, false) OR coalesce(m.read_at > n.read_at, false)
        OR coalesce(n.read_at < s.deltas_from, false) AS overtaken,
    e.live, e.fingerprint = n.fingerprint AS equal
FROM sources s
LEFT JOIN n ON true
LEFT JOIN LATERAL (
    SELECT d.read_at, d.version FROM deltas d WHERE d.source_id = $1 AND d.key_hash = n.key_hash LIMIT 1
) d ON true
LEFT JOIN marked m ON m.key_hash = n.key_hash
LEFT JOIN LATERAL (
    SELECT e.fingerprint, e.change <> 'removed' AS live FROM entities e WHERE e.source_id = $1 AND e.ref = n.ref LIMIT 1
) e ON true
WHERE s.id = $1 AND NOT s.forgotten
