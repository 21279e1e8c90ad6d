-- What is remembered of consecutive pages, without their key hashes.
SELECT page, fingerprint, entities, unidentified, next, children, request, etag, last_modified, content
FROM pages p
WHERE p.partition_id = $1 AND p.page >= $2 AND p.page < $3 AND by_index(p.partition_id)
ORDER BY p.page
