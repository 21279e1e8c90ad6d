-- Manifests of pages that this cycle did not reach, except those of partitions that are kept.
SELECT p.partition_id, p.page, k.key_hashes
FROM pages AS p INDEXED BY pages_source
JOIN page_keys AS k ON k.partition_id = p.partition_id AND k.page = p.page
WHERE p.source_id = ?1 AND p.cycle < ?2
  AND p.partition_id NOT IN (SELECT id FROM jobs WHERE source_id = ?1 AND kept_in = ?2)
LIMIT ?3
