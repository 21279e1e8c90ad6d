-- The memory of the first page of each of these partitions; like list_page_memories.
SELECT p.partition_id, p.page, p.fingerprint, p.entities, p.unidentified, p.next, p.children, p.request, p.etag, p.last_modified,
    p.content, p.read_at, p.lost, p.kept,
    CASE WHEN EXISTS (SELECT 1 FROM deltas x WHERE x.source_id = p.source_id) THEN EXISTS (
        SELECT 1 FROM unnest(p.key_hashes) AS h (key_hash)
        CROSS JOIN LATERAL (
            SELECT 1 FROM deltas d WHERE d.source_id = p.source_id AND d.key_hash = h.key_hash LIMIT 1
        ) d
    ) ELSE false END AS stale
FROM unnest($1::BIGINT[]) AS n (id)
JOIN pages p ON p.partition_id = n.id AND p.page = 0
