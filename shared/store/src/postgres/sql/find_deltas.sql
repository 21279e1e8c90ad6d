-- Deltas of these keys ($2), and which of these pages ($4 of partition $3) hold a key of a delta whose reading began
-- before that of the page ($5). One index probe per key.
SELECT d.key_hash, d.read_at, NULL::INTEGER AS page
FROM unnest($2::BIGINT[]) AS n (key_hash)
CROSS JOIN LATERAL (
    SELECT d.key_hash, d.read_at FROM deltas d WHERE d.source_id = $1 AND d.key_hash = n.key_hash LIMIT 1
) d
UNION ALL
SELECT NULL, NULL, t.page
FROM unnest($4::INTEGER[], $5::BIGINT[]) AS t (page, read_at)
JOIN pages p ON p.partition_id = $3 AND p.page = t.page
WHERE EXISTS (SELECT 1 FROM deltas x WHERE x.source_id = $1) AND EXISTS (
    SELECT 1 FROM unnest(p.key_hashes) AS h (key_hash)
    CROSS JOIN LATERAL (
        SELECT 1 FROM deltas d
        WHERE d.source_id = $1 AND d.key_hash = h.key_hash AND d.read_at < t.read_at LIMIT 1
    ) d
)
