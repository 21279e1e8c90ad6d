-- The partitions whose first page holds a key of a delta whose reading began before that of the page.
SELECT t.id
FROM unnest($2::BIGINT[], $3::BIGINT[]) AS t (id, read_at)
JOIN pages p ON p.partition_id = t.id AND p.page = 0
WHERE EXISTS (SELECT 1 FROM deltas x WHERE x.source_id = $1) AND EXISTS (
    SELECT 1 FROM unnest(p.key_hashes) AS h (key_hash)
    CROSS JOIN LATERAL (
        SELECT 1 FROM deltas d
        WHERE d.source_id = $1 AND d.key_hash = h.key_hash AND d.read_at < t.read_at LIMIT 1
    ) d
)
