-- What is remembered of the pages ?2 to ?3 (exclusive) of a partition; reads no hashes unless the source has deltas
-- (last column): a page that one of them belongs to must be compared again.
SELECT p.page, p.fingerprint, p.entities, p.unidentified, p.next, p.children, p.request, p.etag, p.last_modified, p.content,
    p.read_at,
    (
        SELECT k.key_hashes FROM page_keys AS k
        WHERE k.partition_id = p.partition_id AND k.page = p.page
          AND EXISTS (SELECT 1 FROM deltas AS d WHERE d.source_id = p.source_id)
    ),
    p.source_id,
    p.lost,
    p.kept
FROM pages AS p
WHERE p.partition_id = ?1 AND p.page >= ?2 AND p.page < ?3
ORDER BY p.page
