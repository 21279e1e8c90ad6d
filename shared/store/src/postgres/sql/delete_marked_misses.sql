-- Deletes misses that are back, were found elsewhere, or are on a kept page.
DELETE FROM misses m USING (
    SELECT DISTINCT h.key_hash FROM pages p CROSS JOIN LATERAL unnest(p.key_hashes) AS h (key_hash)
    WHERE p.source_id = $1 AND EXISTS (SELECT 1 FROM misses x WHERE x.source_id = $1)
) h
WHERE m.source_id = $1 AND m.key_hash = h.key_hash
