-- Pages that mark an entity. Scans the source's manifests.
SELECT j.id AS job, j.key, p.page, p.cycle, nullif(p.read_at, 0) AS read_at
FROM entities e
JOIN pages p ON p.source_id = e.source_id AND e.key_hash = ANY (p.key_hashes)
JOIN jobs j ON j.id = p.partition_id
WHERE e.source_id = $1 AND e.ref = $2
ORDER BY j.key, p.page
LIMIT 5
