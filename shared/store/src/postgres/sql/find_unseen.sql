-- The live entities among the suspects ($4) that no page shows but those of the origin itself (the partition $2, or of
-- it what the item $3 made), and none that was read after $5; and how many entities the source owns. Of the entity that
-- the item names ($6), a page of another partition is the item's own if it tells so, and one of its partition if it
-- tells nothing. One walk through the source's manifests and entities.
WITH suspects AS MATERIALIZED (
    SELECT n.key_hash FROM unnest($4::BIGINT[]) AS n (key_hash)
), claimed AS MATERIALIZED (
    SELECT DISTINCT h.key_hash
    FROM pages p
    JOIN jobs j ON j.id = p.partition_id
    CROSS JOIN LATERAL unnest(p.key_hashes, p.makers) AS h (key_hash, maker)
    JOIN suspects x ON x.key_hash = h.key_hash
    WHERE p.source_id = $1 AND CASE
        WHEN p.read_at > $5 THEN true
        WHEN h.key_hash = $6::BIGINT AND coalesce(h.maker, 0) <> 0 THEN h.maker IS DISTINCT FROM $3
        WHEN h.key_hash = $6 THEN j.key IS DISTINCT FROM $2
        ELSE j.key IS DISTINCT FROM $2 OR ($3::BIGINT IS NOT NULL AND h.maker IS DISTINCT FROM $3)
    END
)
SELECT e.ref, e.key_hash,
    coalesce((SELECT c.value FROM counters c WHERE c.name = 'entities/' || $1::BIGINT), 0)::BIGINT AS owned
FROM entities e
JOIN suspects x ON x.key_hash = e.key_hash
WHERE e.source_id = $1 AND e.change <> 'removed' AND NOT EXISTS (SELECT 1 FROM claimed c WHERE c.key_hash = x.key_hash)
