-- Memories of consecutive pages, without their key hashes, and whether a delta wrote a key that a page holds: then it
-- must be compared again. Hashes are read only if the source has deltas.
SELECT page, fingerprint, entities, unidentified, next, children, request, etag, last_modified, content, read_at, lost, kept,
    CASE WHEN EXISTS (SELECT 1 FROM deltas x WHERE x.source_id = p.source_id) THEN EXISTS (
        SELECT 1 FROM unnest(p.key_hashes) AS h (key_hash)
        CROSS JOIN LATERAL (
            SELECT 1 FROM deltas d WHERE d.source_id = p.source_id AND d.key_hash = h.key_hash LIMIT 1
        ) d
    ) ELSE false END AS stale
FROM pages p
WHERE p.partition_id = $1 AND p.page >= $2 AND p.page < $3
ORDER BY p.page
