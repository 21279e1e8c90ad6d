-- What is remembered of the pages ?2 to ?3 (exclusive) of a partition; reads no hashes.
SELECT page, fingerprint, entities, unidentified, next, children, request, etag, last_modified, content
FROM pages
WHERE partition_id = ?1 AND page >= ?2 AND page < ?3
ORDER BY page
